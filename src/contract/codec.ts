import { ReflectCodec } from "./codec-reflect.ts";
import type { DescMessage } from "./runtime.ts";
import type { Codec } from "./types.ts";

/** The codec of a message type; made once for each descriptor. */
export function codecOf<D extends DescMessage>(desc: D): Codec<D> {
  let codec = codecs.get(desc) as Codec<D> | undefined;
  if (codec === undefined) {
    codec = new ReflectCodec(desc);
    codecs.set(desc, codec as unknown as Codec);
  }
  return codec;
}

const codecs = new WeakMap<DescMessage, Codec>();

export { scratch } from "./scratch.ts";
export type { Codec } from "./types.ts";
