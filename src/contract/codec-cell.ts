/** Nesting of messages and groups, the outermost counted: that of protobuf's own implementations. */
export const MAX_DEPTH = 100;

/** One 64-bit cell seen in every way. Little-endian, as every machine that Node runs on, except s390x. */
export const words = new Int32Array(2);
export const signed = new BigInt64Array(words.buffer);
export const unsigned = new BigUint64Array(words.buffer);
export const floats = new Float32Array(words.buffer);
export const doubles = new Float64Array(words.buffer);

/** Node's own string functions of Buffer, without the checks of their public wrappers where this Node has them. */
interface BufferInternals {
  utf8Slice?(start: number, end: number): string;
  utf8Write?(text: string, offset: number, length: number): number;
}
export const internals = Buffer.prototype as unknown as BufferInternals;
