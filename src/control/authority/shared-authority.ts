import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { WeftError } from "../../core/errors.ts";
import { ABSENT, type KeyValue, type KeyValueItem } from "../../settings/key-value.ts";
import type { KeptRoot, PastRoot } from "./authority-file.ts";
import type { AuthorityKeeper, KeptAuthority } from "./authority-keeper.ts";

export interface SharedAuthorityOptions {
  readonly store: KeyValue;
  readonly system: string;
  /** What every control plane of the system is given: the key to the roots follows from it. */
  readonly operatorToken: string;
  /** Told what cannot be read of what another one wrote. */
  readonly onEvent?: (message: string) => void;
}

/**
 * An authority's roots in the store that control planes share, sealed: whoever can read the store, or a copy of it, gets no root's key by that. AES-256-GCM by a key that HKDF-SHA-256 (RFC 5869)
 * makes of the operator's token, bound to the system and to where it stands. Without the token of the others nobody signs for the system.
 */
export class SharedAuthority implements AuthorityKeeper {
  readonly shared = true;
  readonly #options: SharedAuthorityOptions;
  readonly #key: Buffer;
  /** Of what was read or written last. */
  #version = ABSENT;

  constructor(options: SharedAuthorityOptions) {
    this.#options = options;
    const { operatorToken, system } = options;
    this.#key = Buffer.from(hkdfSync("sha256", operatorToken, system, "weft authority 1", 32));
  }

  /** Rejects `failed_precondition`, reason WRONG_OPERATOR_TOKEN, unless this token is that of the control planes that were here before. The first one's is everybody's from then on. */
  async assertToken(): Promise<void> {
    const { store } = this.#options;
    for (;;) {
      const item = await store.get(TOKEN_KEY);
      if (item !== null) return void this.#open(TOKEN_KEY, item);
      if ((await store.put(TOKEN_KEY, this.#seal(TOKEN_KEY, "weft"), ABSENT)) !== null) return;
    }
  }

  async read(): Promise<KeptAuthority | null> {
    const item = await this.#options.store.get(ROOTS_KEY);
    this.#version = item?.version ?? ABSENT;
    return item === null ? null : this.#decode(item);
  }

  async write(_system: string, roots: readonly KeptRoot[], past: readonly PastRoot[]): Promise<boolean> {
    const sealed = this.#seal(ROOTS_KEY, JSON.stringify({ version: 1, roots, past }));
    const version = await this.#options.store.put(ROOTS_KEY, sealed, this.#version);
    if (version !== null) this.#version = version;
    return version !== null;
  }

  /** Whoever asks from here uses the operator's token. */
  async writeTrust(): Promise<void> {}

  watch(listener: (kept: KeptAuthority) => void): { close(): void } {
    return this.#options.store.watch(ROOTS_KEY, (item) => {
      if (item === null || item.version === this.#version) return;
      try {
        const kept = this.#decode(item);
        this.#version = item.version;
        listener(kept);
      } catch (thrown) {
        this.#options.onEvent?.(`the roots in the store are left alone: ${(thrown as Error).message}`);
      }
    });
  }

  #decode(item: KeyValueItem): KeptAuthority {
    const { version, roots, past } = JSON.parse(this.#open(ROOTS_KEY, item)) as KeptAuthority & { version: number };
    if (version === 1 && Array.isArray(roots) && roots.length > 0 && Array.isArray(past)) return { roots, past };
    throw unusable(`${ROOTS_KEY} holds no roots of this version of weft`, "AUTHORITY_UNUSABLE");
  }

  /** FORMAT, 12 bytes of nonce, 16 of tag, what was sealed. */
  #seal(place: string, text: string): Uint8Array {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonce);
    cipher.setAAD(this.#bound(place));
    const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
    return Buffer.concat([Buffer.of(FORMAT), nonce, cipher.getAuthTag(), sealed]);
  }

  #open(place: string, { value }: KeyValueItem): string {
    const bytes = Buffer.from(value);
    if (bytes.length < 1 + NONCE_BYTES + TAG_BYTES || bytes[0] !== FORMAT)
      throw unusable(`${place} in the store was not written by this version of weft`, "AUTHORITY_UNUSABLE");
    const sealedAt = 1 + NONCE_BYTES + TAG_BYTES;
    const decipher = createDecipheriv("aes-256-gcm", this.#key, bytes.subarray(1, 1 + NONCE_BYTES));
    decipher.setAAD(this.#bound(place));
    decipher.setAuthTag(bytes.subarray(1 + NONCE_BYTES, sealedAt));
    try {
      return Buffer.concat([decipher.update(bytes.subarray(sealedAt)), decipher.final()]).toString();
    } catch {
      throw unusable(
        `this is not the operator's token by which the control planes of "${this.#options.system}" seal what they share: give each the same (WEFT_OPERATOR_TOKEN or --operator-token-file)`,
        "WRONG_OPERATOR_TOKEN",
      );
    }
  }

  #bound(place: string): Buffer {
    return Buffer.from(`${this.#options.system}\n${place}`);
  }
}

function unusable(message: string, reason: string): WeftError {
  return new WeftError("failed_precondition", message, { reason });
}

const ROOTS_KEY = "authority/roots";
const TOKEN_KEY = "authority/operator";
const FORMAT = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
