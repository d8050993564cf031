import { createHash, type X509Certificate } from "node:crypto";
import { parsePem } from "./certificate.ts";

/** By what a process knows a control plane that it has never spoken with: the system's name, and digests of the roots that may sign for it. */
export interface ControlPin {
  readonly system: string;
  /** Each as `pinOf` makes it; one of them is enough. */
  readonly pins: readonly string[];
}

/** SHA-256 of the certificate's public key (SubjectPublicKeyInfo, as RFC 7469 section 2.4 takes it), base64url. */
export function pinOf(certificate: X509Certificate): string {
  const spki = certificate.publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256").update(spki).digest("base64url");
}

/** Of every certificate in a PEM text, each once. */
export function pinsOf(pem: string): string[] {
  return [...new Set(parsePem(pem).map(pinOf))];
}

export function isPin(text: unknown): text is string {
  return typeof text === "string" && /^[\w-]{43}$/.test(text);
}

/** "shop/4rDp...,9aTq...", as people pass it on (WEFT_CONTROL_PIN). */
export function formatControlPin({ system, pins }: ControlPin): string {
  return `${system}/${pins.join(",")}`;
}

/** Null for what is written otherwise. */
export function parseControlPin(text: string): ControlPin | null {
  const [system, list = "", ...more] = text.trim().split("/");
  const pins = list.split(",");
  if (more.length > 0 || !/^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/.test(system)) return null;
  return pins.length <= 16 && pins.every(isPin) ? { system, pins } : null;
}
