/**
 * What may be used once. At most `max` are remembered, each until it could not be used any more anyway; when all are in use a further one is refused: to forget one
 * would let it be used again.
 */
export class Nonces {
  static readonly fresh = 0;
  static readonly used = 1;
  static readonly full = 2;
  readonly #until = new Map<string, number>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  /** `until` and `wall` are epoch ms. */
  use(nonce: string, until: number, wall: number): number {
    const known = this.#until.get(nonce);
    if (known !== undefined && known > wall) return Nonces.used;
    this.#until.delete(nonce);
    if (this.#until.size >= this.#max && !this.#makeRoom(wall)) return Nonces.full;
    this.#until.set(nonce, until);
    return Nonces.fresh;
  }

  get size(): number {
    return this.#until.size;
  }

  /** Drops those among the oldest that are over. */
  #makeRoom(wall: number): boolean {
    let looked = 0;
    let room = false;
    for (const [nonce, until] of this.#until) {
      if (until <= wall) {
        this.#until.delete(nonce);
        room = true;
      }
      if (++looked >= LOOK_AT) break;
    }
    return room;
  }
}

const LOOK_AT = 64;
