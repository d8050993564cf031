import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";

/**
 * Binary codec of one message type, compiled from its descriptor to straight-line JavaScript at first use (codec.ts, `codecOf`).
 * Same wire format and same message shapes as protobuf-es's toBinary/fromBinary (differential property tests hold that), at the speed of generated code.
 */
export interface Codec<D extends DescMessage = DescMessage> {
  readonly desc: D;
  /** Takes complete messages and plain initialisers (missing fields have their defaults). Throws invalid_argument that names the field
   * for values outside a field's type. Returns fresh bytes (a Buffer, so not at the start of its ArrayBuffer). */
  encode(message: MessageInitShape<D>): Uint8Array;
  /** The hot path's encode: writes into the shared `scratch.bytes`, leaving `prefix` bytes free at its start, and returns the end offset.
   * The bytes are valid until the next encode of any codec. */
  encodeScratch(message: MessageInitShape<D>, prefix: number): number;
  /** Decodes bytes [start, end). Throws invalid_argument that names message and field when they are malformed. Strings and bytes are copies. */
  decode(bytes: Uint8Array, start: number, end: number): MessageShape<D>;
}
