import { type Compiled, compiledOf } from "./codec-compile.ts";
import { decodeError, encodeError, ReflectCodec } from "./codec-reflect.ts";
import type { DescMessage, MessageInitShape, MessageShape } from "./runtime.ts";
import { releaseLarge, scratch } from "./scratch.ts";
import type { Codec } from "./types.ts";

/**
 * The codec of a message type; made once for each descriptor and compiled at its first use. Where code from strings is forbidden
 * (node --disallow-code-generation-from-strings) it works by reflection, at a third of the speed or less.
 */
export function codecOf<D extends DescMessage>(desc: D): Codec<D> {
  let codec = codecs.get(desc) as Codec<D> | undefined;
  if (codec === undefined) {
    codec = canCompile() ? new CompiledCodec(desc) : new ReflectCodec(desc);
    codecs.set(desc, codec as unknown as Codec);
  }
  return codec;
}

class CompiledCodec<D extends DescMessage> implements Codec<D> {
  readonly desc: D;
  readonly #compiled: Compiled;

  constructor(desc: D) {
    this.desc = desc;
    this.#compiled = compiledOf(desc);
  }

  encode(message: MessageInitShape<D>): Uint8Array {
    const end = this.encodeScratch(message, 0);
    // From Node's pool: a Uint8Array of its own costs 1 us from 65 bytes on. A few bytes are copied faster here than by a call.
    const bytes = Buffer.allocUnsafe(end);
    const from = scratch.bytes;
    if (end > 32) from.copy(bytes, 0, 0, end);
    else for (let i = 0; i < end; i++) bytes[i] = from[i];
    return bytes;
  }

  encodeScratch(message: MessageInitShape<D>, prefix: number): number {
    releaseLarge();
    try {
      return this.#compiled.encode(message, prefix, 1);
    } catch (cause) {
      throw encodeError(this.desc.typeName, cause);
    }
  }

  decode(bytes: Uint8Array, start: number, end: number): MessageShape<D> {
    try {
      const message = this.#compiled.empty();
      this.#compiled.decode(bytes, start, end, message, 1);
      return message as MessageShape<D>;
    } catch (cause) {
      throw decodeError(this.desc.typeName, cause);
    }
  }
}

const codecs = new WeakMap<DescMessage, Codec>();

let compilable: boolean | undefined;

/** Also false on big-endian machines, which the compiled codecs' 64-bit cell does not suit. */
function canCompile(): boolean {
  if (compilable === undefined) {
    try {
      compilable = new Function("return true")() === true && new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
    } catch {
      compilable = false;
    }
  }
  return compilable;
}

export { scratch } from "./scratch.ts";
export type { Codec } from "./types.ts";
