import { WeftError } from "../core/errors.ts";
import { readBytes } from "./codec-read.ts";
import { create, type DescMessage, fromBinary, type MessageInitShape, type MessageShape, toBinary } from "./runtime.ts";
import { reserve, scratch } from "./scratch.ts";
import type { Codec } from "./types.ts";

/**
 * A codec by protobuf-es's reflection. For processes that may not compile code from strings, and for message types with features
 * that are too rare to compile (groups).
 */
export class ReflectCodec<D extends DescMessage> implements Codec<D> {
  readonly desc: D;

  constructor(desc: D) {
    this.desc = desc;
  }

  encode(message: MessageInitShape<D>): Uint8Array {
    try {
      return toBinary(this.desc, create(this.desc, message));
    } catch (cause) {
      throw encodeError(this.desc.typeName, cause);
    }
  }

  encodeScratch(message: MessageInitShape<D>, prefix: number): number {
    const bytes = this.encode(message);
    const end = prefix + bytes.length;
    reserve(end);
    scratch.bytes.set(bytes, prefix);
    return end;
  }

  decode(bytes: Uint8Array, start: number, end: number): MessageShape<D> {
    try {
      return fromBinary(this.desc, readBytes(bytes, start, end));
    } catch (cause) {
      throw decodeError(this.desc.typeName, cause);
    }
  }
}

/** protobuf-es and the compiled codecs throw plain errors whose text names the field; what leaves a codec is a WeftError. */
export function encodeError(typeName: string, cause: unknown): WeftError {
  if (cause instanceof WeftError) return cause;
  const text = cause instanceof Error ? cause.message : String(cause);
  return new WeftError("invalid_argument", `cannot encode ${typeName}: ${text}`, { reason: "BAD_MESSAGE", cause });
}

export function decodeError(typeName: string, cause: unknown): WeftError {
  if (cause instanceof WeftError) return cause;
  const text = cause instanceof Error ? cause.message : String(cause);
  return new WeftError("invalid_argument", `cannot decode ${typeName}: ${text}`, {
    reason: "MALFORMED_MESSAGE",
    cause,
  });
}
