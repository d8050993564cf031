import type { Claims } from "../machine/principal.ts";

/** A compact JWS whose payload is claims, not verified yet. */
export interface Token {
  readonly algorithm: string;
  /** "" when it names none. */
  readonly keyId: string;
  readonly type: string;
  readonly claims: Claims;
}

/** Reads a token strictly (RFC 7515 section 7.1, RFC 7519 section 7.2); a string says what is wrong with it. */
export function parseToken(text: string): Token | string {
  const parts = text.split(".");
  if (parts.length === 5) return "it is encrypted (JWE), which is not supported; use a signed token";
  if (parts.length !== 3 || !parts.every((part) => BASE64URL.test(part))) return "it is no signed token (JWS)";
  const header = parsePart(parts[0]);
  if (header === null) return "its header is no JSON object";
  const { alg, kid, typ, crit } = header;
  if (typeof alg !== "string") return "its header names no algorithm";
  if (crit !== undefined) return "its header has critical parameters (crit), none of which is understood";
  if (kid !== undefined && (typeof kid !== "string" || kid.length > 256)) return "its kid is no short string";
  const claims = parsePart(parts[1]);
  if (claims === null) return "its claims are no JSON object";
  return { algorithm: alg, keyId: kid ?? "", type: typeof typ === "string" ? typ : "", claims };
}

function parsePart(part: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(UTF8.decode(Buffer.from(part, "base64url")));
    return typeof value === "object" && value !== null && !Array.isArray(value) ? Object.freeze(value as never) : null;
  } catch {
    return null;
  }
}

const UTF8 = new TextDecoder("utf-8", { fatal: true });
const BASE64URL = /^[A-Za-z0-9_-]+$/;
