import { CONTROL_ADDRESSES_WANTED, parseControlAddresses } from "../core/control-addresses.ts";
import { WeftError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";

/**
 * The control planes of a system in an order of this process's own: shuffled once, so that processes spread over them, and those of one that fails over the others. One is used at a time.
 */
export class ControlAddresses {
  readonly #order: readonly string[];
  #at = 0;

  /** `text` as WEFT_CONTROL has it. Throws `invalid_argument` for what is none. */
  constructor(text: string, random: Random) {
    const addresses = parseControlAddresses(text);
    if (addresses === null)
      throw new WeftError(
        "invalid_argument",
        `"${text.slice(0, 300)}" names no control plane; write ${CONTROL_ADDRESSES_WANTED}`,
        { reason: "BAD_ADDRESS" },
      );
    this.#order = shuffled(addresses, random);
  }

  get current(): string {
    return this.#order[this.#at];
  }

  get count(): number {
    return this.#order.length;
  }

  /** Goes on to the next one, after the last to the first. */
  advance(): string {
    this.#at = (this.#at + 1) % this.#order.length;
    return this.current;
  }
}

function shuffled(addresses: readonly string[], random: Random): string[] {
  const order = [...addresses];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random.next() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
