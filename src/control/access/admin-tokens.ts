import { createHash, createHmac, hkdfSync, randomBytes, timingSafeEqual } from "node:crypto";
import type { Clock } from "../../core/clock.ts";
import { WeftError } from "../../core/errors.ts";
import { ABSENT, ANY, type KeyValue } from "../../settings/key-value.ts";
import { ACCESS_ROLES, type AccessRole } from "./method-roles.ts";

/** A token as it is kept: not the secret, but its digest. */
export interface AdminToken {
  readonly id: string;
  readonly name: string;
  readonly role: AccessRole;
  /** Milliseconds since the Unix epoch. */
  readonly madeMs: number;
  readonly expiresMs: number;
}

/**
 * Tokens of people and programs that ask the control plane, and what services of the system may by their certificates; below `access/` in the store, so that they hold at every control plane. Each bears a
 * code (HMAC-SHA-256) by the operator's token, so that nobody becomes an operator by writing into the store. What was read is
 * believed for a few seconds, which is how long a token that was revoked may hold still, and for a minute while the store is away.
 */
export class AdminTokens {
  readonly #store: KeyValue;
  readonly #clock: Clock;
  readonly #key: Uint8Array;
  readonly #known = new Map<string, Known>();

  /** `operatorToken`: the same at all control planes of the store. */
  constructor(store: KeyValue, clock: Clock, operatorToken: string) {
    this.#store = store;
    this.#clock = clock;
    this.#key = new Uint8Array(hkdfSync("sha256", operatorToken, "", "weft access 1", 32));
  }

  async create(name: string, role: AccessRole, ttlSeconds: number): Promise<{ token: string; made: AdminToken }> {
    if (!NAME.test(name))
      throw wrong(
        "name",
        `a name is 1 to 64 of [A-Za-z0-9._-], beginning with a letter or digit, not "${name.slice(0, 80)}"`,
      );
    if (ttlSeconds > MAX_TTL_SECONDS)
      throw wrong("ttl_seconds", `ttl_seconds is at most ${MAX_TTL_SECONDS} (a year), not ${ttlSeconds}`);
    if ((await this.#store.keys(TOKENS)).length >= MAX_TOKENS) await this.#sweep();
    const id = randomBytes(6).toString("hex");
    const secret = randomBytes(32).toString("base64url");
    const madeMs = this.#clock.wallMs();
    const made = { id, name, role, madeMs, expiresMs: madeMs + (ttlSeconds || DEFAULT_TTL_SECONDS) * 1_000 };
    const at = `${TOKENS}/${id}`;
    await this.#store.put(at, this.#encode(at, { ...made, digest: digestOf(secret).toString("hex") }), ABSENT);
    return { token: `${PREFIX}${id}.${secret}`, made };
  }

  /** Those that have not expired, oldest first. */
  async list(): Promise<readonly AdminToken[]> {
    const now = this.#clock.wallMs();
    const items = await this.#store.list(TOKENS);
    return items
      .flatMap(({ key, value }) => this.#token(key, value) ?? [])
      .filter(({ expiresMs }) => expiresMs > now)
      .sort((a, b) => a.madeMs - b.madeMs)
      .map(({ digest: _, ...token }) => token);
  }

  async revoke(id: string): Promise<void> {
    if (!ID.test(id) || (await this.#store.get(`${TOKENS}/${id}`)) === null)
      throw new WeftError("not_found", `there is no admin token "${id.slice(0, 64)}"; \`weft token ls\` lists them`, {
        reason: "UNKNOWN_TOKEN",
      });
    await this.#store.delete(`${TOKENS}/${id}`, ANY);
    this.#known.delete(`${TOKENS}/${id}`);
  }

  /** What is shown as a token; null for what is none, was revoked or has expired. Rejects `unavailable` when that cannot be told. */
  async find(text: string): Promise<AdminToken | null> {
    const match = TOKEN.exec(text);
    if (match === null) return null;
    const at = `${TOKENS}/${match[1]}`;
    const value = await this.#read(at);
    const kept = value === null ? null : this.#token(at, value);
    if (kept === null || kept.expiresMs <= this.#clock.wallMs()) return null;
    const { digest, ...token } = kept;
    return timingSafeEqual(Buffer.from(digest, "hex"), digestOf(match[2])) ? token : null;
  }

  /** `role` null takes the grant away. */
  async grant(service: string, role: AccessRole | null): Promise<void> {
    const key = `${GRANTS}/${service}`;
    if (role === null) await this.#store.delete(key, ANY);
    else await this.#store.put(key, this.#encode(key, { role }), ANY);
    this.#known.delete(key);
  }

  async grants(): Promise<readonly { readonly service: string; readonly role: AccessRole }[]> {
    const items = await this.#store.list(GRANTS);
    return items.flatMap(({ key, value }) => {
      const role = this.#grant(key, value);
      return role === null ? [] : [{ service: key.slice(GRANTS.length + 1), role }];
    });
  }

  async granted(service: string): Promise<AccessRole | null> {
    const key = `${GRANTS}/${service}`;
    const value = await this.#read(key);
    return value === null ? null : this.#grant(key, value);
  }

  #encode(key: string, value: Readonly<Record<string, unknown>>): Uint8Array {
    return Buffer.from(JSON.stringify({ ...value, code: this.#codeOf(key, value).toString("hex") }));
  }

  /** Null for what is none, or was not written by a control plane with this operator's token. */
  #parse(key: string, value: Uint8Array): Record<string, unknown> | null {
    const { code, ...kept } = parse(value) ?? {};
    if (typeof code !== "string" || !DIGEST.test(code)) return null;
    return timingSafeEqual(Buffer.from(code, "hex"), this.#codeOf(key, kept)) ? kept : null;
  }

  #codeOf(key: string, value: Readonly<Record<string, unknown>>): Buffer {
    const fields = FIELDS.map((name) => value[name] ?? null);
    return createHmac("sha256", this.#key)
      .update(JSON.stringify([key, ...fields]))
      .digest();
  }

  #token(key: string, value: Uint8Array): KeptToken | null {
    return tokenOf(this.#parse(key, value) ?? {});
  }

  #grant(key: string, value: Uint8Array): AccessRole | null {
    return roleOf(this.#parse(key, value)?.role);
  }

  async #read(key: string): Promise<Uint8Array | null> {
    const now = this.#clock.now();
    const known = this.#known.get(key);
    if (known !== undefined && now - known.atMs < BELIEVED_MS) return known.value;
    try {
      const value = (await this.#store.get(key))?.value ?? null;
      if (this.#known.size >= MAX_KNOWN) this.#known.clear();
      this.#known.set(key, { value, atMs: now });
      return value;
    } catch (cause) {
      if (known !== undefined && now - known.atMs < WHILE_AWAY_MS) return known.value;
      throw new WeftError("unavailable", "the store does not answer, so nobody can say whether the token holds", {
        reason: "STORE_AWAY",
        retryable: true,
        cause,
      });
    }
  }

  /** Takes those away that have expired. */
  async #sweep(): Promise<void> {
    const now = this.#clock.wallMs();
    let left = 0;
    for (const { key, value, version } of await this.#store.list(TOKENS)) {
      if ((this.#token(key, value)?.expiresMs ?? 0) <= now) await this.#store.delete(key, version);
      else left++;
    }
    if (left >= MAX_TOKENS)
      throw new WeftError("resource_exhausted", `there are ${left} admin tokens already; revoke some`, {
        reason: "TOO_MANY_TOKENS",
      });
  }
}

interface Known {
  readonly value: Uint8Array | null;
  readonly atMs: number;
}

interface KeptToken extends AdminToken {
  readonly digest: string;
}

function tokenOf({ id, name, role, madeMs, expiresMs, digest }: Record<string, unknown>): KeptToken | null {
  const known = roleOf(role);
  if (known === null || typeof id !== "string" || typeof name !== "string") return null;
  if (typeof madeMs !== "number" || typeof expiresMs !== "number") return null;
  if (typeof digest !== "string" || !DIGEST.test(digest)) return null;
  return { id, name, role: known, madeMs, expiresMs, digest };
}

function parse(value: Uint8Array): Record<string, unknown> | null {
  try {
    return JSON.parse(Buffer.from(value).toString()) as Record<string, unknown> | null;
  } catch {
    return null;
  }
}

function roleOf(role: unknown): AccessRole | null {
  return ACCESS_ROLES.find((each) => each === role) ?? null;
}

function digestOf(secret: string): Buffer {
  return createHash("sha256").update(secret).digest();
}

function wrong(field: string, message: string): WeftError {
  return new WeftError("invalid_argument", message, { reason: "BAD_TOKEN_REQUEST", place: { field } });
}

/** Of which a code is made. */
const FIELDS = ["id", "name", "role", "madeMs", "expiresMs", "digest"] as const;
const DIGEST = /^[0-9a-f]{64}$/;
const PREFIX = "weft-admin-";
const ID = /^[0-9a-f]{12}$/;
const TOKEN = /^weft-admin-([0-9a-f]{12})\.([\w-]{43})$/;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const TOKENS = "access/tokens";
const GRANTS = "access/grants";
const DEFAULT_TTL_SECONDS = 86_400;
const MAX_TTL_SECONDS = 31_536_000;
const MAX_TOKENS = 1_000;
const MAX_KNOWN = 10_000;
const BELIEVED_MS = 5_000;
const WHILE_AWAY_MS = 60_000;
