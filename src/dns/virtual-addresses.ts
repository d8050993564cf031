import { createHash } from "node:crypto";
import { WeftError } from "../core/errors.ts";
import { addressBytes } from "../core/network.ts";

/**
 * Which address of a loopback network stands for which name. A name's first choice follows from the name and `seed`, so that a process that comes back gives the
 * same ones; where an address is another name's, or cannot be listened on, the next is tried.
 */
export class VirtualAddresses {
  readonly #base: number;
  readonly #count: number;
  readonly #seed: string;
  readonly #names = new Map<string, string>();

  /** Throws `invalid_argument` for what is no IPv4 network with room for at least 256 addresses. */
  constructor(network: string, seed: string) {
    const [text, length = "32"] = network.split("/");
    const bytes = addressBytes(text);
    const bits = Number(length);
    if (bytes?.length !== 4 || !/^\d{1,2}$/.test(length) || bits > 24 || bits < 8 || bytes[0] !== 127)
      throw new WeftError(
        "invalid_argument",
        `virtual addresses need a network of 127.0.0.0/8 with a length from 8 to 24, such as 127.80.0.0/16, not ${network}`,
        { reason: "BAD_NETWORK" },
      );
    this.#count = 2 ** (32 - bits);
    const address = ((bytes[0] << 24) | (bytes[1] << 16) | (bytes[2] << 8) | bytes[3]) >>> 0;
    this.#base = address - (address % this.#count);
    this.#seed = seed;
  }

  /** Addresses to try for a name, in order. */
  *candidates(name: string): Iterable<string> {
    const digest = createHash("sha256").update(`${this.#seed}\n${name}`).digest();
    const first = digest.readUInt32BE(0);
    for (let i = 0; i < TRIES; i++) {
      // Neither the network's first address nor its last.
      const address = this.#base + 1 + ((first + i * STEP) % (this.#count - 2));
      const text = [address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255].join(".");
      if (!this.#names.has(text)) yield text;
    }
  }

  assign(address: string, name: string): void {
    this.#names.set(address, name);
  }

  /** It stands for nothing any more. */
  release(address: string): void {
    this.#names.delete(address);
  }

  /** "orders.weft" */
  nameOf(address: string): string | undefined {
    return this.#names.get(address);
  }
}

const TRIES = 16;
/** Another sidecar beside ours takes its own: the next one is not in a row with it. */
const STEP = 7_919;
