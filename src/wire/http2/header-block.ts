/** Where a complete header block lies. */
export interface HeaderSource {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

/** The header block being received: in place when it lies in one frame, gathered when CONTINUATION frames follow. */
export class HeaderBlock implements HeaderSource {
  bytes: Buffer = NOTHING;
  start = 0;
  end = 0;
  /** The stream whose block is incomplete, 0 when none is. */
  streamId = 0;
  fin = false;
  selfDependent = false;
  readonly #maxBytes: number;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  whole(bytes: Buffer, start: number, end: number): void {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
  }

  begin(streamId: number, fin: boolean, selfDependent: boolean): void {
    this.streamId = streamId;
    this.fin = fin;
    this.selfDependent = selfDependent;
    this.whole(NOTHING, 0, 0);
  }

  /** False: it gets too large. */
  add(chunk: Buffer, start: number, end: number): boolean {
    const need = this.end + end - start;
    if (need > this.#maxBytes) return false;
    if (need > this.bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(need, this.bytes.length * 2));
      this.bytes.copy(grown, 0, 0, this.end);
      this.bytes = grown;
    }
    chunk.copy(this.bytes, this.end, start, end);
    this.end = need;
    return true;
  }

  complete(): void {
    this.streamId = 0;
  }

  release(): void {
    this.whole(NOTHING, 0, 0);
  }
}

const NOTHING = Buffer.alloc(0);
