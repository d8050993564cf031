import { createHash, createPrivateKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { createCertificate, encodePem } from "../../core/certificate.ts";
import type { KeptRoot, PastRoot } from "./authority-file.ts";

/** A root with a new key, from `nowMs` on. */
export function makeRoot(system: string, state: KeptRoot["state"], nowMs: number, lifetimeMs: number): KeptRoot {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const notAfterMs = nowMs + lifetimeMs;
  const spki = publicKey.export({ type: "spki", format: "der" });
  // Each root has a name of its own, for those who tell authorities by name.
  const commonName = `${system} authority ${createHash("sha256").update(spki).digest("hex").slice(0, 8)}`;
  const der = createCertificate({ publicKey, commonName, notAfterMs, ...ofRoots(system, nowMs) }, privateKey);
  const id = createHash("sha256").update(der).digest("hex").slice(0, 16);
  const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  return { id, state, sinceMs: nowMs, notAfterMs, certificate: encodePem(der), privateKey: pem };
}

/** Says in the name of the root before that `next` follows it. */
export function stepTo(system: string, next: KeptRoot, before: KeptRoot, nowMs: number): PastRoot {
  const { certificate, privateKey, notAfterMs } = before;
  const { publicKey, subject } = new X509Certificate(next.certificate);
  const commonName = /^CN=(.+)$/m.exec(subject)?.[1] ?? "";
  const der = createCertificate(
    { publicKey, commonName, notAfterMs, ...ofRoots(system, nowMs) },
    { certificate: new X509Certificate(certificate).raw, privateKey: createPrivateKey(privateKey) },
  );
  return { certificate, successor: encodePem(der), notAfterMs, droppedMs: null };
}

function ofRoots(system: string, nowMs: number) {
  const notBeforeMs = nowMs - BACKDATED_MS;
  return { organization: system, uri: `spiffe://${system}`, notBeforeMs, authority: true } as const;
}

/** How long before they are made certificates begin, ms: clocks of machines differ. */
export const BACKDATED_MS = 60_000;
