/**
 * Jute, the encoding of ZooKeeper's protocol: big-endian integers; texts and buffers after their length in bytes (-1: there is none); lists after their length.
 * Source: zookeeper.jute and BinaryInputArchive of Apache ZooKeeper 3.8.
 */
export class JuteWriter {
  #bytes = Buffer.allocUnsafe(256);
  #length = 0;

  int(value: number): this {
    this.#length = this.#room(4).writeInt32BE(value, this.#length);
    return this;
  }

  long(value: bigint): this {
    this.#length = this.#room(8).writeBigInt64BE(value, this.#length);
    return this;
  }

  bool(value: boolean): this {
    this.#length = this.#room(1).writeUInt8(value ? 1 : 0, this.#length);
    return this;
  }

  text(value: string): this {
    const bytes = Buffer.byteLength(value, "utf8");
    this.int(bytes);
    this.#length += this.#room(bytes).write(value, this.#length, "utf8");
    return this;
  }

  buffer(value: Uint8Array): this {
    this.int(value.length);
    this.#room(value.length).set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  /** What was written, after its length: a frame as it travels. */
  frame(): Buffer {
    const frame = Buffer.allocUnsafe(4 + this.#length);
    frame.writeInt32BE(this.#length, 0);
    this.#bytes.copy(frame, 4, 0, this.#length);
    return frame;
  }

  #room(bytes: number): Buffer {
    const wanted = this.#length + bytes;
    if (wanted > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(wanted, 2 * this.#bytes.length));
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    return this.#bytes;
  }
}

/** Reads what a peer wrote. Throws RangeError for what is cut off or cannot be: whoever calls it says where it came from. */
export class JuteReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Bytes that are not read yet. */
  get left(): number {
    return this.#bytes.length - this.#at;
  }

  int(): number {
    return this.#bytes.readInt32BE(this.#take(4));
  }

  long(): bigint {
    return this.#bytes.readBigInt64BE(this.#take(8));
  }

  bool(): boolean {
    const value = this.#bytes[this.#take(1)];
    if (value > 1) throw new RangeError(`a boolean is ${value}`);
    return value === 1;
  }

  /** "" for none. */
  text(): string {
    const length = this.#length();
    const at = this.#take(length);
    return this.#bytes.toString("utf8", at, at + length);
  }

  /** A copy; empty for none. */
  buffer(): Uint8Array {
    const length = this.#length();
    const at = this.#take(length);
    return new Uint8Array(this.#bytes.subarray(at, at + length));
  }

  /** Each item takes at least a byte, so a list is never longer than what is left. */
  list<T>(item: () => T): T[] {
    const length = this.#length();
    if (length > this.left) throw new RangeError(`a list of ${length} in ${this.left} bytes`);
    return Array.from({ length }, item);
  }

  #length(): number {
    const length = this.int();
    if (length < -1) throw new RangeError(`a length is ${length}`);
    return Math.max(0, length);
  }

  #take(bytes: number): number {
    if (bytes > this.left) throw new RangeError(`${bytes} bytes were expected and ${this.left} are left`);
    const at = this.#at;
    this.#at += bytes;
    return at;
  }
}

/** Cuts a stream of bytes into frames, none longer than `maxBytes`. */
export class JuteFrames {
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  #held = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The frames that are whole now, without their lengths. Throws RangeError for a length that cannot be; nothing can be read after it. */
  take(chunk: Buffer): Buffer[] {
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    const frames: Buffer[] = [];
    for (;;) {
      const length = this.#next();
      if (length === null || this.#held < 4 + length) return frames;
      const all = this.#joined();
      frames.push(all.subarray(4, 4 + length));
      this.#held -= 4 + length;
      this.#chunks = this.#held === 0 ? [] : [all.subarray(4 + length)];
    }
  }

  /** Length of the next frame; null: not known yet. */
  #next(): number | null {
    if (this.#held < 4) return null;
    const first = this.#chunks[0].length >= 4 ? this.#chunks[0] : this.#joined();
    const length = first.readInt32BE(0);
    if (length < 0 || length > this.#maxBytes)
      throw new RangeError(`a frame of ${length} bytes, of which at most ${this.#maxBytes} are read`);
    return length;
  }

  #joined(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0];
  }
}
