import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from "node:crypto";
import { deflateRawSync, inflateRawSync } from "node:zlib";

/**
 * JSON in a cookie that only holders of a key can read or make: AES-256-GCM with a key derived for its purpose (HKDF, RFC 5869), so that a cookie of one kind, or of
 * another provider, is no cookie of this one.
 *
 *     base64url( key's id (4) | nonce (12) | ciphertext of deflated JSON | tag (16) )
 *
 * The first key seals; every key opens, so that keys can be changed without logging anybody out.
 */
export class CookieSealer {
  readonly #keys: readonly DerivedKey[];

  /** `secrets`: at least 32 bytes each. */
  constructor(secrets: readonly string[], purpose: string) {
    this.#keys = secrets.map((secret) => {
      const key = Buffer.from(hkdfSync("sha256", secret, "", `weft cookie ${purpose}`, 32));
      return { key, id: createHash("sha256").update(key).digest().subarray(0, 4) };
    });
  }

  seal(value: unknown): string {
    const [{ key, id }] = this.#keys;
    const nonce = randomBytes(12);
    const cipher = createCipheriv("aes-256-gcm", key, nonce);
    cipher.setAAD(id);
    const text = Buffer.concat([cipher.update(deflateRawSync(JSON.stringify(value))), cipher.final()]);
    return Buffer.concat([id, nonce, text, cipher.getAuthTag()]).toString("base64url");
  }

  /** Undefined when it is none of ours. */
  open(cookie: string): unknown {
    if (!/^[A-Za-z0-9_-]+$/.test(cookie) || cookie.length > MAX_LENGTH) return undefined;
    const bytes = Buffer.from(cookie, "base64url");
    if (bytes.length < 4 + 12 + 16) return undefined;
    const known = this.#keys.find(({ id }) => id.equals(bytes.subarray(0, 4)));
    if (known === undefined) return undefined;
    try {
      const decipher = createDecipheriv("aes-256-gcm", known.key, bytes.subarray(4, 16), { authTagLength: 16 });
      decipher.setAAD(known.id);
      decipher.setAuthTag(bytes.subarray(bytes.length - 16));
      const text = Buffer.concat([decipher.update(bytes.subarray(16, bytes.length - 16)), decipher.final()]);
      return JSON.parse(inflateRawSync(text, { maxOutputLength: MAX_OPENED }).toString("utf8"));
    } catch {
      return undefined;
    }
  }
}

interface DerivedKey {
  readonly key: Buffer;
  readonly id: Buffer;
}

const MAX_LENGTH = 8_192;
const MAX_OPENED = 65_536;
