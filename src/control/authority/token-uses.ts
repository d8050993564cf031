import type { Clock } from "../../core/clock.ts";
import { WeftError } from "../../core/errors.ts";
import { ABSENT, type KeyValue } from "../../settings/key-value.ts";

/**
 * Who has used each join token, below `tokens/`: one value a token, `{ expiresMs, keys }`, changed by compare-and-set, so that a use is counted once however many control planes
 * count. Forgotten when it cannot be used any more.
 */
export class TokenUses {
  readonly #store: KeyValue;
  readonly #clock: Clock;
  #sweptAt: number | null = null;

  constructor(store: KeyValue, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** `key`: SHA-256 of who uses it, in hexadecimal. `mayUse` gets how often it was used by others, and may throw. True: it was counted, now or before; false: mayUse said no. */
  async count(token: string, key: string, expiresMs: number, mayUse: (uses: number) => boolean): Promise<boolean> {
    const at = `${TOKENS}/${token}`;
    const used = Buffer.from(key, "hex").subarray(0, KEPT_BYTES).toString("base64url");
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const item = await this.#store.get(at);
      const uses = item === null ? NO_USES : decode(item.value);
      if (uses.keys.includes(used)) return true;
      if (!mayUse(uses.keys.length)) return false;
      const next: Uses = { expiresMs: Math.max(uses.expiresMs, expiresMs), keys: [...uses.keys, used] };
      if ((await this.#store.put(at, Buffer.from(JSON.stringify(next)), item?.version ?? ABSENT)) === null) continue;
      await this.#sweep();
      return true;
    }
    const text = "many join by this token at once; try again";
    throw new WeftError("unavailable", text, { reason: "CONTENDED", retryable: true });
  }

  async #sweep(): Promise<void> {
    const now = this.#clock.now();
    if (this.#sweptAt !== null && now - this.#sweptAt < SWEEP_MS) return;
    this.#sweptAt = now;
    for (const { key, value, version } of await this.#store.list(TOKENS))
      if (decode(value).expiresMs < this.#clock.wallMs()) await this.#store.delete(key, version);
  }
}

interface Uses {
  readonly expiresMs: number;
  /** 128 bits of each user's digest, base64url. */
  readonly keys: readonly string[];
}

/** What cannot be read counts as used up: nobody is let in by mistake. */
function decode(value: Uint8Array): Uses {
  try {
    const { expiresMs, keys } = JSON.parse(Buffer.from(value).toString()) as Uses;
    if (Number.isFinite(expiresMs) && Array.isArray(keys)) return { expiresMs, keys };
  } catch {
    // Said below.
  }
  throw new WeftError("data_loss", "the uses of a join token cannot be read", { reason: "STORE_UNREADABLE" });
}

const TOKENS = "tokens";
const NO_USES: Uses = { expiresMs: 0, keys: [] };
/** A token holds up to 10,000 uses, which is one value of the store. */
const KEPT_BYTES = 16;
const MAX_TRIES = 50;
const SWEEP_MS = 600_000;
