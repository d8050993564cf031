/**
 * What was verified, by the digest of the credential, until it expires: so that only the first call with a token pays for its signature. Bounded: the one
 * that was not used for longest gives way, roughly (a second chance for what was used since it was last looked at).
 */
export class VerifiedCache<T> {
  readonly #entries = new Map<string, Entry<T>>();
  readonly #max: number;

  constructor(max = 10_000) {
    this.#max = max;
  }

  /** `wall`: epoch ms. */
  get(digest: string, wall: number): T | null {
    const entry = this.#entries.get(digest);
    if (entry === undefined) return null;
    if (entry.until <= wall) {
      this.#entries.delete(digest);
      return null;
    }
    entry.used = true;
    return entry.value;
  }

  /** `until`: epoch ms. */
  set(digest: string, value: T, until: number): void {
    this.#entries.delete(digest);
    if (this.#entries.size >= this.#max) this.#makeRoom();
    this.#entries.set(digest, { value, until, used: false });
  }

  delete(digest: string): void {
    this.#entries.delete(digest);
  }

  get size(): number {
    return this.#entries.size;
  }

  #makeRoom(): void {
    for (let looked = 0; looked < LOOK_AT; looked++) {
      const [digest, entry] = this.#entries.entries().next().value as [string, Entry<T>];
      this.#entries.delete(digest);
      if (!entry.used) return;
      entry.used = false;
      this.#entries.set(digest, entry);
    }
    this.#entries.delete(this.#entries.keys().next().value as string);
  }
}

interface Entry<T> {
  readonly value: T;
  readonly until: number;
  used: boolean;
}

const LOOK_AT = 8;
