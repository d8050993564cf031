import { createHmac, timingSafeEqual } from "node:crypto";
import { isPin } from "./control-pin.ts";
import { WeftError } from "./errors.ts";

/**
 * What a process shows to get its first certificate: it names one system and one service, expires, and holds for so many processes. Whoever has the
 * operator's secret of the system makes them; that secret's MAC is what the control plane goes by, so that none has to be stored before it is used.
 *
 *     weft1.<base64url of JSON {sys, svc, id, exp, uses, ca}>.<base64url of HMAC-SHA-256>
 *
 * It also tells the process whom to believe: the control plane that it is shown to has to prove by TLS that one of the authorities `ca` signed for it, and so the very first
 * connection is verified (as kubeadm's discovery does it).
 */
export interface JoinToken {
  readonly system: string;
  readonly service: string;
  /** Random, 128 bits: what uses are counted by. */
  readonly id: string;
  readonly expiresMs: number;
  /** How many processes may join by it. */
  readonly uses: number;
  /** Digests of the system's roots (`pinOf`). None: it is shown in plain text, on the control plane's own machine. */
  readonly pins: readonly string[];
}

export function encodeJoinToken(
  { system, service, id, expiresMs, uses, pins = [] }: Omit<JoinToken, "pins"> & Partial<Pick<JoinToken, "pins">>,
  secret: string,
): string {
  const claims = { sys: system, svc: service, id, exp: expiresMs, uses };
  const payload = JSON.stringify(pins.length === 0 ? claims : { ...claims, ca: pins });
  const body = `${PREFIX}.${Buffer.from(payload, "utf8").toString("base64url")}`;
  return `${body}.${macOf(body, secret).toString("base64url")}`;
}

/** Throws `unauthenticated`, reason BAD_JOIN_TOKEN or JOIN_TOKEN_EXPIRED. Messages never repeat the token. */
export function parseJoinToken(text: string, system: string, secret: string, nowMs: number): JoinToken {
  const token = readJoinToken(text);
  if (token === null) throw refused("this is no join token of weft's; make one with `weft token create SERVICE`");
  if (token.system !== system)
    throw refused(`the join token is of another system, "${token.system}"; this is "${system}"`);
  const at = text.lastIndexOf(".");
  const shown = Buffer.from(text.slice(at + 1), "base64url");
  const mac = macOf(text.slice(0, at), secret);
  if (shown.length !== mac.length || !timingSafeEqual(shown, mac))
    throw refused(`the join token for "${token.service}" was not made by this system's operator, or has been changed`);
  if (token.expiresMs <= nowMs) {
    const at = new Date(token.expiresMs).toISOString();
    throw refused(`the join token for "${token.service}" expired at ${at}; make another one`, "JOIN_TOKEN_EXPIRED");
  }
  return token;
}

/** What a process can know of its own token: it cannot tell who made it. Null for what is none. */
export function readJoinToken(text: string): JoinToken | null {
  return text.length <= MAX_LENGTH ? readPayload(text) : null;
}

const PREFIX = "weft1";
/** Of a token with as many pins as an authority may have roots. */
const MAX_LENGTH = 2_048;
const MAX_PINS = 16;
const NAME = /^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/;
const PARTS = /^weft1\.[\w-]+\.[\w-]+$/;

/** Derived, so that the secret itself is never what a peer's guesses are compared with. */
function macOf(body: string, secret: string): Buffer {
  const key = createHmac("sha256", secret).update("weft join token v1").digest();
  return createHmac("sha256", key).update(body).digest();
}

function readPayload(text: string): JoinToken | null {
  if (!PARTS.test(text)) return null;
  try {
    const {
      sys,
      svc,
      id,
      exp,
      uses,
      ca = [],
    } = JSON.parse(Buffer.from(text.split(".")[1], "base64url").toString("utf8"));
    if (![sys, svc, id].every((part) => typeof part === "string") || !NAME.test(sys) || !NAME.test(svc)) return null;
    if (id.length > 64 || !Number.isSafeInteger(exp) || !Number.isSafeInteger(uses) || uses < 1) return null;
    if (!Array.isArray(ca) || ca.length > MAX_PINS || !ca.every(isPin)) return null;
    return { system: sys, service: svc, id, expiresMs: exp, uses, pins: ca };
  } catch {
    return null;
  }
}

function refused(message: string, reason = "BAD_JOIN_TOKEN"): WeftError {
  return new WeftError("unauthenticated", message, { reason });
}
