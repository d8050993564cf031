import type { CryptoKey, JWK } from "jose";
import type { Cancel, Clock } from "../../core/clock.ts";
import { durationMs } from "../../policy/resource/duration.ts";
import type { JwksSource } from "../../policy/security/authentication-resource.ts";
import type { KeyState } from "../../policy/security/questions.ts";
import { type Fetch, fetchJson } from "./fetch-json.ts";
import type { FileContent, Secrets } from "./secrets.ts";

/** A key that may have made a signature. `state` is null for what no issuer takes back. */
export interface FoundKey<Key = CryptoKey> {
  readonly key: Key;
  readonly state: KeyState | null;
}

/**
 * The public keys of issuers. Keys from a URL are kept as long as the answer's Cache-Control says, within bounds, and fetched again:
 *
 *     none yet ------------------> fetch, callers wait together; after a failure the next try comes RETRY_MS later
 *     older than they may be ----> fetch, also when nobody asks (as Envoy's async_fetch), until nobody has for a day: tokens that are remembered
 *                                  are checked with nobody, and must not outlive the key. What is known stays in use while the URL is down
 *     a key id that is unknown --> one fetch, and no other for it within `cooldown`: tokens with made-up ids cannot make us fetch
 *
 * A key that a later set, or a file that was written anew, does not have is `gone`, for whoever remembers what it verified.
 */
export class JwksCache {
  readonly #clock: Clock;
  readonly #fetch: Fetch;
  readonly #secrets: Secrets;
  readonly #onProblem: (message: string) => void;
  readonly #remote = new Map<string, RemoteKeys>();
  readonly #files = new Map<string, { readonly content: FileContent; readonly set: KeySet | null }>();
  readonly #inline = new WeakMap<object, KeySet>();

  constructor(clock: Clock, fetch: Fetch, secrets: Secrets, onProblem: (message: string) => void) {
    this.#clock = clock;
    this.#fetch = fetch;
    this.#secrets = secrets;
    this.#onProblem = onProblem;
  }

  /** Keys that may have made a signature; null when the issuer's keys cannot be had at all. */
  async find(source: JwksSource, keyId: string, algorithm: string): Promise<readonly FoundKey[] | null> {
    if (source.inline !== undefined) {
      let set = this.#inline.get(source.inline);
      if (set === undefined) this.#inline.set(source.inline, (set = new KeySet(source.inline)));
      return set.find(keyId, algorithm);
    }
    if (source.file !== undefined) return this.#fromFile(source.file, keyId, algorithm);
    return this.#remoteOf(source).find(keyId, algorithm);
  }

  /** Ends what happens by itself. */
  close(): void {
    for (const remote of this.#remote.values()) remote.close();
  }

  async #fromFile(path: string, keyId: string, algorithm: string): Promise<readonly FoundKey[] | null> {
    const content = await this.#secrets.file(path);
    if (content === null) return null;
    let known = this.#files.get(path);
    if (known?.content !== content) {
      let set: KeySet | null = null;
      try {
        set = new KeySet(JSON.parse(content.text));
        known?.set?.replacedBy(set);
      } catch (error) {
        this.#onProblem(`${path} is no JSON Web Key Set: ${(error as Error).message}`);
      }
      if (this.#files.size >= MAX_SOURCES) this.#files.clear(); // of policies that are gone
      this.#files.set(path, (known = { content, set }));
    }
    return known.set === null ? null : known.set.find(keyId, algorithm);
  }

  #remoteOf(source: JwksSource): RemoteKeys {
    const key = JSON.stringify(source);
    let remote = this.#remote.get(key);
    if (remote === undefined) {
      if (this.#remote.size >= MAX_SOURCES) {
        this.close();
        this.#remote.clear(); // of policies that are gone
      }
      remote = new RemoteKeys(source, this.#clock, this.#fetch, this.#onProblem);
      this.#remote.set(key, remote);
    }
    return remote;
  }
}

class RemoteKeys {
  readonly #url: string;
  readonly #clock: Clock;
  readonly #fetch: Fetch;
  readonly #onProblem: (message: string) => void;
  readonly #refreshMs: number;
  readonly #cooldownMs: number;
  #set: KeySet | null = null;
  #freshUntil = Number.NEGATIVE_INFINITY;
  #triedAt = Number.NEGATIVE_INFINITY;
  #missedAt = Number.NEGATIVE_INFINITY;
  #askedAt = Number.NEGATIVE_INFINITY;
  #fetching: Promise<void> | null = null;
  #cancelNext: Cancel = () => {};
  #closed = false;

  constructor(source: JwksSource, clock: Clock, fetch: Fetch, onProblem: (message: string) => void) {
    this.#url = source.url ?? "";
    this.#clock = clock;
    this.#fetch = fetch;
    this.#onProblem = onProblem;
    this.#refreshMs = durationMs(source.refresh ?? "10m");
    this.#cooldownMs = durationMs(source.cooldown ?? "30s");
  }

  close(): void {
    this.#closed = true;
    this.#cancelNext();
  }

  async find(keyId: string, algorithm: string): Promise<readonly FoundKey[] | null> {
    const now = this.#clock.now();
    this.#askedAt = now;
    if (this.#fetching !== null && this.#set === null) await this.#fetching;
    else if (now >= this.#freshUntil && now - this.#triedAt >= RETRY_MS) await this.#refresh();
    if (this.#set === null) return null;
    const found = await this.#set.find(keyId, algorithm);
    if (found.length > 0) return found;
    if (this.#fetching !== null) await this.#fetching;
    else if (this.#clock.now() - this.#missedAt >= this.#cooldownMs) {
      this.#missedAt = this.#clock.now();
      await this.#refresh();
    }
    return this.#set.find(keyId, algorithm);
  }

  /** Never rejects. */
  #refresh(): Promise<void> {
    return (this.#fetching ??= this.#fetchKeys().finally(() => {
      this.#fetching = null;
    }));
  }

  async #fetchKeys(): Promise<void> {
    this.#triedAt = this.#clock.now();
    try {
      const { status, value, cacheControl } = await fetchJson(
        this.#fetch,
        this.#url,
        { headers: { accept: "application/jwk-set+json, application/json" } },
        FETCH_MS,
      );
      if (status !== 200) throw new Error(`it answers with HTTP ${status}`);
      const set = new KeySet(value);
      this.#set?.replacedBy(set);
      this.#set = set;
      const forMs = freshMs(cacheControl, this.#refreshMs);
      this.#freshUntil = this.#clock.now() + forMs;
      this.#again(forMs);
    } catch (error) {
      const kept = this.#set === null ? "" : "; the keys known so far stay in use";
      this.#onProblem(`the keys of ${this.#url} cannot be had: ${reasonOf(error)}${kept}`);
      if (this.#set !== null) this.#again(MIN_FRESH_MS);
    }
  }

  #again(afterMs: number): void {
    this.#cancelNext();
    if (this.#closed) return;
    this.#cancelNext = this.#clock.after(afterMs, () => {
      if (this.#clock.now() - this.#askedAt < IN_USE_MS) void this.#refresh();
    });
  }
}

/** A JSON Web Key Set (RFC 7517 section 5). Keys that cannot verify signatures are left out, and those of kinds that nobody knows. */
class KeySet {
  readonly #keys: readonly JWK[];
  readonly #states: { gone: boolean }[];
  readonly #imported = new Map<string, Promise<CryptoKey | null>>();

  constructor(value: unknown) {
    const keys = (value as { keys?: unknown } | null)?.keys;
    if (!Array.isArray(keys)) throw new Error("it has no list of keys");
    if (keys.length > MAX_KEYS) throw new Error(`it has more than ${MAX_KEYS} keys`);
    this.#keys = keys.filter(
      (key: JWK | null) => typeof key === "object" && key !== null && (key.use ?? "sig") === "sig" && key.kty !== "oct",
    );
    this.#states = this.#keys.map(() => ({ gone: false }));
  }

  /** What is in both stays as it is, the rest of this one is gone. */
  replacedBy(next: KeySet): void {
    const texts = next.#keys.map((key) => JSON.stringify(key));
    for (const [at, key] of this.#keys.entries()) {
      const there = texts.indexOf(JSON.stringify(key));
      if (there >= 0) next.#states[there] = this.#states[at];
      else this.#states[at].gone = true;
    }
  }

  /** With a key id the keys of that id, without one all that fit the algorithm. */
  async find(keyId: string, algorithm: string): Promise<readonly FoundKey[]> {
    const found: FoundKey[] = [];
    for (const [at, key] of this.#keys.entries()) {
      if (keyId !== "" && key.kid !== keyId) continue;
      if (!fits(key, algorithm)) continue;
      const imported = await this.#import(at, key, algorithm);
      if (imported !== null) found.push({ key: imported, state: this.#states[at] });
      if (found.length >= MAX_TRIED) break;
    }
    return found;
  }

  #import(at: number, key: JWK, algorithm: string): Promise<CryptoKey | null> {
    const name = `${at} ${algorithm}`;
    let imported = this.#imported.get(name);
    if (imported === undefined) {
      imported = import("jose")
        .then(({ importJWK }) => importJWK(key, algorithm) as Promise<CryptoKey>)
        .catch(() => null);
      this.#imported.set(name, imported);
    }
    return imported;
  }
}

function fits(key: JWK, algorithm: string): boolean {
  if (key.alg !== undefined && key.alg !== algorithm) return false;
  if (Array.isArray(key.key_ops) && !key.key_ops.includes("verify")) return false;
  const family = algorithm.slice(0, 2);
  if (family === "RS" || family === "PS") return key.kty === "RSA";
  if (family === "ES") return key.kty === "EC" && key.crv === CURVES[algorithm];
  return key.kty === "OKP" && key.crv === "Ed25519";
}

/** How long an answer may be used (RFC 9111 section 5.2.2), between a minute and an hour, or what the policy says when that is longer. */
function freshMs(cacheControl: string, otherwiseMs: number): number {
  if (/\bno-(store|cache)\b/i.test(cacheControl)) return MIN_FRESH_MS;
  const age = /\bmax-age="?(\d{1,9})/i.exec(cacheControl)?.[1];
  if (age === undefined) return otherwiseMs;
  return Math.min(Math.max(MAX_FRESH_MS, otherwiseMs), Math.max(MIN_FRESH_MS, Number(age) * 1000));
}

/** fetch() says "fetch failed" and hides why in the cause. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as Error & { cause?: Error };
  return cause instanceof Error && cause.message !== "" ? `${message}: ${cause.message}` : message;
}

const CURVES: Readonly<Record<string, string>> = { ES256: "P-256", ES384: "P-384", ES512: "P-521" };
const MAX_SOURCES = 1_000;
const MAX_KEYS = 256;
/** Keys tried for a token that names none. */
const MAX_TRIED = 8;
const MIN_FRESH_MS = 60_000;
const MAX_FRESH_MS = 3_600_000;
/** How long after the last question keys are looked after: as long as tokens are remembered at most. */
const IN_USE_MS = 86_400_000;
const FETCH_MS = 3_000;
const RETRY_MS = 5_000;
