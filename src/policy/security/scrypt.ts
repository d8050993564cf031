import { randomBytes, scrypt, scryptSync, timingSafeEqual } from "node:crypto";
import { SCRYPT } from "./authentication-shape.ts";

/**
 * A password's hash for Authentication's basic provider: "scrypt$N$r$p$SALT$HASH" (RFC 7914). Defaults: OWASP's Password Storage Cheat Sheet for scrypt with 32 MiB (N = 2^15,
 * r = 8, p = 3). Takes about a quarter of a second.
 */
export function scryptHash(password: string, { N = 32_768, r = 8, p = 3 } = {}): string {
  const salt = randomBytes(16);
  const hash = scryptSync(password, salt, 32, { N, r, p, maxmem: MAX_MEMORY });
  return `scrypt$${N}$${r}$${p}$${salt.toString("base64")}$${hash.toString("base64")}`;
}

/** Verifies passwords, a few at a time and on other threads: who sends many cannot take the whole machine. */
export class ScryptPool {
  readonly #atOnce: number;
  readonly #maxWaiting: number;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(atOnce = 2, maxWaiting = 64) {
    this.#atOnce = atOnce;
    this.#maxWaiting = maxWaiting;
  }

  /** Null: too many wait, or the hash asks for more than is allowed. */
  async verify(password: string, hash: string): Promise<boolean | null> {
    const parts = SCRYPT.exec(hash);
    if (parts === null || this.#waiting.length >= this.#maxWaiting) return null;
    const [N, r, p] = parts.slice(1, 4).map(Number);
    if (128 * N * r > MAX_MEMORY / 2 || p > 16) return null;
    const right = Buffer.from(parts[5], "base64");
    if (this.#running >= this.#atOnce) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running++;
    try {
      const made = await new Promise<Buffer | null>((resolve) => {
        scrypt(password, Buffer.from(parts[4], "base64"), right.length, { N, r, p, maxmem: MAX_MEMORY }, (error, key) =>
          resolve(error === null ? key : null),
        );
      });
      return made === null ? null : timingSafeEqual(made, right);
    } catch {
      return null; // parameters that scrypt does not take
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }
}

const MAX_MEMORY = 268_435_456;
/** Of no password. */
export const DUMMY_HASH = `scrypt$32768$8$3$${"A".repeat(22)}==$${"A".repeat(43)}=`;
