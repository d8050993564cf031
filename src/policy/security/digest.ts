/**
 * SHA-256 of a text. A computation, not the outside; node:crypto is got when it is first needed, since loading it costs memory that processes without such
 * policies do not spend.
 */
export function sha256(text: string, encoding: "base64url" | "hex"): string {
  return crypto().hash("sha256", text, encoding);
}

/**
 * The same (in hex) of a credential in a request's fields. A head that comes again is the same object (wire/head.ts), and its credential is hashed once: measured by
 * bench/security.ts, that is half a microsecond of a call with a token.
 */
export function credentialDigest(fields: readonly string[], credential: string): string {
  const known = KNOWN.get(fields);
  if (known !== undefined && known.credential === credential) return known.digest;
  const digest = sha256(credential, "hex");
  KNOWN.set(fields, { credential, digest });
  return digest;
}

/** Goes with the head; holds no credential that the head does not hold. */
const KNOWN = new WeakMap<readonly string[], { readonly credential: string; readonly digest: string }>();

type Crypto = typeof import("node:crypto");
let loaded: Crypto | null = null;

function crypto(): Crypto {
  return (loaded ??= process.getBuiltinModule("node:crypto"));
}
