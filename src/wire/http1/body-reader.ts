import type { ConnectionLimits } from "../limits.ts";
import { parseTrailers } from "./fields.ts";
import { CR, LF } from "./grammar.ts";
import { MessageError } from "./message-error.ts";
import { Section } from "./section.ts";

/**
 * Takes the framing off a message's body. One for a connection, used for body after body.
 *
 *     length:   data x n -> done
 *     close:    data ... until the connection ends
 *     chunked:  size [;extension] CRLF -> data x size -> CRLF -> size ... -> 0 CRLF -> trailers -> empty line -> done
 */
export class BodyReader {
  readonly #limits: Readonly<ConnectionLimits>;
  readonly #target: BodyTarget;
  readonly #section = new Section();
  #state: State = DONE;
  /** Bytes left of the body or of the chunk. */
  #remaining = 0;
  #digits = 0;
  #extensionBytes = 0;

  constructor(limits: Readonly<ConnectionLimits>, target: BodyTarget) {
    this.#limits = limits;
    this.#target = target;
  }

  /** Starts a body of `length` bytes; 0 for none, -1 for chunked, -2 for one that ends with the connection. */
  begin(length: number): void {
    this.#extensionBytes = 0;
    if (length === -1) this.#beginChunk();
    else if (length === -2) this.#state = UNTIL_CLOSE;
    else {
      this.#state = length === 0 ? DONE : LENGTH;
      this.#remaining = length;
    }
  }

  get done(): boolean {
    return this.#state === DONE;
  }

  /** True when the end of the connection is the end of this body. */
  get endsWithConnection(): boolean {
    return this.#state === UNTIL_CLOSE;
  }

  /** The rest of this body does not matter. */
  stop(): void {
    this.#state = DONE;
    this.#section.reset();
  }

  /** Reads from [at, end) of `chunk` until the body is done or the chunk is; returns how far. Throws MessageError. */
  read(chunk: Uint8Array, at: number, end: number): number {
    while (at < end) {
      switch (this.#state) {
        case DONE:
          return at;
        case LENGTH: {
          const next = Math.min(end, at + this.#remaining);
          this.#remaining -= next - at;
          const last = this.#remaining === 0;
          if (last) this.#state = DONE;
          this.#target.onBodyData(chunk, at, next, last);
          at = next;
          break;
        }
        case UNTIL_CLOSE:
          this.#target.onBodyData(chunk, at, end, false);
          return end;
        case CHUNK_SIZE:
          this.#sizeByte(chunk[at++]);
          break;
        case EXTENSION:
          this.#extensionByte(chunk[at++]);
          break;
        case SIZE_LF:
          if (chunk[at++] !== LF) throw new MessageError(400, "a CR without LF after a chunk size");
          this.#state = this.#remaining > 0 ? CHUNK_DATA : TRAILERS;
          break;
        case CHUNK_DATA: {
          const next = Math.min(end, at + this.#remaining);
          this.#remaining -= next - at;
          if (this.#remaining === 0) this.#state = DATA_CR;
          // The last chunk of most bodies comes together with what ends them: then data and end are told in one.
          if (this.#remaining === 0 && endsHere(chunk, next, end)) {
            this.#state = DONE;
            this.#target.onBodyData(chunk, at, next, true);
            return next + END.length;
          }
          this.#target.onBodyData(chunk, at, next, false);
          at = next;
          break;
        }
        case DATA_CR:
          if (chunk[at++] !== CR) throw new MessageError(400, "a chunk is longer than its size");
          this.#state = DATA_LF;
          break;
        case DATA_LF:
          if (chunk[at++] !== LF) throw new MessageError(400, "a CR without LF after a chunk");
          this.#beginChunk();
          break;
        case TRAILERS: {
          const sectionEnd = this.#section.feed(chunk, at, end, this.#limits.maxHeadBytes);
          if (sectionEnd < 0) return end;
          const text = this.#section.take(chunk, at, sectionEnd);
          this.#state = DONE;
          if (text === "\r\n") this.#target.onBodyData(chunk, sectionEnd, sectionEnd, true);
          else this.#target.onBodyTrailers(parseTrailers(text, this.#limits));
          return sectionEnd;
        }
      }
    }
    return at;
  }

  #beginChunk(): void {
    this.#state = CHUNK_SIZE;
    this.#remaining = 0;
    this.#digits = 0;
  }

  #sizeByte(code: number): void {
    const digit = hexDigit(code);
    if (digit >= 0) {
      if (++this.#digits > MAX_DIGITS) throw new MessageError(413, "a chunk size has too many digits");
      this.#remaining = this.#remaining * 16 + digit;
      return;
    }
    if (this.#digits === 0) throw new MessageError(400, "a chunk size is not a hexadecimal number");
    if (code === CR) this.#state = SIZE_LF;
    else if (code === SEMICOLON) this.#state = EXTENSION;
    else throw new MessageError(400, "a chunk size is not followed by CRLF");
  }

  /** Extensions are ignored, but not without end (CVE-2023-39326). */
  #extensionByte(code: number): void {
    if (code === CR) this.#state = SIZE_LF;
    else if (code < 0x20 && code !== 0x09) throw new MessageError(400, "a control character in a chunk extension");
    else if (++this.#extensionBytes > MAX_EXTENSION_BYTES) throw new MessageError(400, "chunk extensions are too long");
  }
}

export interface BodyTarget {
  /** Body bytes [start, end) of `chunk`; `last`: the message is complete. May call the reader's begin() or stop(). */
  onBodyData(chunk: Uint8Array, start: number, end: number, last: boolean): void;
  /** Trailers, which complete the message. */
  onBodyTrailers(fields: string[]): void;
}

type State = number;
const DONE = 0;
const LENGTH = 1;
const UNTIL_CLOSE = 2;
const CHUNK_SIZE = 3;
const EXTENSION = 4;
const SIZE_LF = 5;
const CHUNK_DATA = 6;
const DATA_CR = 7;
const DATA_LF = 8;
const TRAILERS = 9;

const SEMICOLON = 59;
const MAX_DIGITS = 12;
const MAX_EXTENSION_BYTES = 4_096;
const END = Buffer.from("\r\n0\r\n\r\n", "latin1");

function endsHere(chunk: Uint8Array, at: number, end: number): boolean {
  if (end - at < END.length) return false;
  for (let i = 0; i < END.length; i++) if (chunk[at + i] !== END[i]) return false;
  return true;
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  if (code >= 0x61 && code <= 0x66) return code - 0x57;
  if (code >= 0x41 && code <= 0x46) return code - 0x37;
  return -1;
}
