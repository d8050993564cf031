import { HEADER_BYTES } from "./constants.ts";
import { labelText, MAX_LABEL_BYTES, MAX_NAME_BYTES } from "./name.ts";

/**
 * Reads a message from front to back. What is wrong with it shows in `failed`, which stays: everything read after that is 0 or "". Nothing throws, whatever the
 * bytes.
 */
export class WireReader {
  readonly bytes: Uint8Array;
  at: number;
  failed = false;

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  u16(): number {
    return this.#has(2) ? (this.bytes[this.at++] << 8) | this.bytes[this.at++] : 0;
  }

  u32(): number {
    return this.u16() * 0x1_0000 + this.u16();
  }

  skip(count: number): void {
    if (this.#has(count)) this.at += count;
  }

  /**
   * A name, following pointers (RFC 1035 section 4.1.4). Each has to lead to before where the reading of this name began or was last sent, which is all that
   * compression needs and what ends every loop.
   */
  name(): string {
    const { bytes } = this;
    let at = this.at;
    let before = at;
    let after = -1;
    let length = 1;
    let text = "";
    for (;;) {
      if (this.failed || at >= bytes.length) return this.#fail();
      const size = bytes[at];
      if (size === 0) {
        this.at = after < 0 ? at + 1 : after;
        return text === "" ? "." : text;
      }
      if (size >= POINTER) {
        if (at + 1 >= bytes.length) return this.#fail();
        const to = ((size & 0x3f) << 8) | bytes[at + 1];
        if (to < HEADER_BYTES || to >= before) return this.#fail();
        if (after < 0) after = at + 2;
        before = to;
        at = to;
        continue;
      }
      length += size + 1;
      if (size > MAX_LABEL_BYTES || length > MAX_NAME_BYTES || at + size >= bytes.length) return this.#fail();
      text += `${labelText(bytes, at + 1, at + 1 + size)}.`;
      at += size + 1;
    }
  }

  #has(count: number): boolean {
    if (!this.failed && this.at + count <= this.bytes.length) return true;
    this.failed = true;
    return false;
  }

  #fail(): string {
    this.failed = true;
    return "";
  }
}

const POINTER = 0xc0;
