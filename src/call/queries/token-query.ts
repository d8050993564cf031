import type { CryptoKey } from "jose";
import type { TokenAnswer, TokenQuestion } from "../../policy/security/questions.ts";
import type { FoundKey, JwksCache } from "./jwks.ts";
import type { Secrets } from "./secrets.ts";

/** Verifies signatures of tokens with jose, which is loaded with the first one. Callers that ask about the same token at the same time wait for one verification. */
export class TokenVerifier {
  readonly #keys: JwksCache;
  readonly #secrets: Secrets;
  readonly #onProblem: (message: string) => void;
  readonly #open = new Map<string, Promise<TokenAnswer | null>>();
  /** Signatures verified, for tests and benches. */
  verifications = 0;

  constructor(keys: JwksCache, secrets: Secrets, onProblem: (message: string) => void) {
    this.#keys = keys;
    this.#secrets = secrets;
    this.#onProblem = onProblem;
  }

  /** `key` is the query's: the same for the same token and keys. Null: the keys could not be had. */
  verify(key: string, question: TokenQuestion): Promise<TokenAnswer | null> {
    let open = this.#open.get(key);
    if (open === undefined) {
      open = this.#verify(question).finally(() => this.#open.delete(key));
      this.#open.set(key, open);
    }
    return open;
  }

  async #verify({ token, algorithm, keyId, keys }: TokenQuestion): Promise<TokenAnswer | null> {
    const { compactVerify, errors } = await import("jose");
    const candidates: readonly FoundKey<CryptoKey | Uint8Array>[] | null =
      "secret" in keys ? await this.#secretKey(keys.secret) : await this.#keys.find(keys.jwks, keyId, algorithm);
    if (candidates === null) return null;
    if (candidates.length === 0) {
      const which = keyId === "" ? "its algorithm" : `the id ${JSON.stringify(keyId.slice(0, 64))} and its algorithm`;
      return { verified: false, problem: `the issuer has no key for ${which}` };
    }
    for (const { key, state } of candidates) {
      this.verifications++;
      try {
        await compactVerify(token, key, { algorithms: [algorithm] });
        return { verified: true, problem: "", ...(state !== null && { key: state }) };
      } catch (error) {
        if (!(error instanceof errors.JOSEError) && !(error instanceof TypeError)) throw error;
      }
    }
    return { verified: false, problem: "its signature is wrong" };
  }

  async #secretKey(ref: Parameters<Secrets["secret"]>[0]): Promise<readonly FoundKey<Uint8Array>[] | null> {
    const secret = await this.#secrets.secret(ref);
    if (secret === null) return null;
    const bytes = new TextEncoder().encode(secret);
    if (bytes.length >= MIN_SECRET) return [{ key: bytes, state: null }];
    this.#onProblem(`a secret for tokens is shorter than ${MIN_SECRET} bytes (RFC 7518 section 3.2) and is not used`);
    return null;
  }
}

const MIN_SECRET = 32;
