/**
 * SHA-256 of a text. A computation, not the outside; node:crypto is got when it is first needed, since loading it costs memory that processes without such
 * policies do not spend.
 */
export function sha256(text: string, encoding: "base64url" | "hex"): string {
  return crypto().hash("sha256", text, encoding);
}

type Crypto = typeof import("node:crypto");
let loaded: Crypto | null = null;

function crypto(): Crypto {
  return (loaded ??= process.getBuiltinModule("node:crypto"));
}
