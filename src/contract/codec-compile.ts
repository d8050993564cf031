import { decoderText, emptyText } from "./codec-decoder.ts";
import { encoderText } from "./codec-encoder.ts";
import * as read from "./codec-read.ts";
import { jsonToStruct, structToJson } from "./codec-struct.ts";
import * as write from "./codec-write.ts";
import { create, type DescMessage, mergeFromBinary, toBinary } from "./runtime.ts";
import { reserve, scratch } from "./scratch.ts";

/**
 * A message type's encoder and decoder, compiled from its descriptor to JavaScript. What comes out looks like this, for
 * `message Line { string sku = 1; int32 quantity = 3; }`:
 *
 *     encode(m, p, d)        b = scratch.bytes; make room for every field of fixed size at once (FIXED bytes)
 *                            v = m["sku"];      if (v) { b[p++] = 10; p = h.writeString(p, v, FIXED, "Line.sku"); b = scratch.bytes; }
 *                            v = m["quantity"]; if (v) { b[p++] = 24; p = ... }
 *                            return p
 *     decode(b, p, e, m, d)  while (p < e) switch (tag) {
 *                              case 10: length into q; m["sku"] = h.readString(b, p, q, true); p = q; break;
 *                              case 24: ... default: keep as unknown }
 *                            p must be e now, or a field was cut off
 *
 * Invariants: (1) before each field, FIXED bytes are free behind p, so only what has no fixed size asks for room; (2) nothing behind
 * e is ever made part of a message: values of a length are checked before they are read, others when the loop ends; (3) names reach
 * the text through JSON.stringify alone. A child is one byte of length and its content; where the length needs more, the content is
 * moved: most are shorter than 128 bytes, and moving 130 to 2,000 bytes takes 40 to 60 ns, as long as finding the UTF-8 length of a
 * single string, which measuring before writing would need for each.
 */
export interface Compiled {
  /** Writes into scratch from `p`, `d` levels deep; returns the end. */
  encode: (message: unknown, p: number, d: number) => number;
  /** Reads [p, e) into `message`. */
  decode: (b: Uint8Array, p: number, e: number, message: unknown, d: number) => void;
  /** An empty message. */
  empty: () => unknown;
}

/** Compiles on first use of each type; types that name each other are compiled once. Throws where code from strings is forbidden. */
export function compiledOf(desc: DescMessage): Compiled {
  const known = cache.get(desc);
  if (known !== undefined) return known;
  // Entered before it is filled, for types that contain themselves; its functions compile themselves when first called.
  const compiled: Compiled = {
    encode: (message, p, d) => build(desc, compiled).encode(message, p, d),
    decode: (b, p, e, message, d) => build(desc, compiled).decode(b, p, e, message, d),
    empty: () => build(desc, compiled).empty(),
  };
  cache.set(desc, compiled);
  return compiled;
}

const cache = new WeakMap<DescMessage, Compiled>();

function build(desc: DescMessage, into: Compiled): Compiled {
  if (desc.fields.some((field) => "delimitedEncoding" in field && field.delimitedEncoding))
    return Object.assign(into, reflected(desc));
  const children = new Map<DescMessage, number>();
  const childOf = (child: DescMessage) => {
    if (!children.has(child)) children.set(child, children.size);
    return `c${children.get(child)}`;
  };
  const encode = encoderText(desc, childOf);
  const decode = decoderText(desc, childOf);
  const empty = emptyText(desc);
  const names = [...children.values()].map((index) => `c${index}`);
  const text = `"use strict";\n${encode}\n${decode}\n${empty}\nreturn { encode, decode, empty };`;
  const make = new Function(
    "h",
    "scratch",
    "reserve",
    "cursor",
    "SMALL",
    "create",
    "NOTHING",
    "structs",
    ...names,
    text,
  );
  const parts = [...children.keys()].map(compiledOf);
  return Object.assign(
    into,
    make(
      helpers,
      scratch,
      reserve,
      read.cursor,
      read.SMALL,
      () => create(desc),
      NOTHING,
      { structToJson, jsonToStruct },
      ...parts,
    ) as Compiled,
  );
}

/** Messages with groups are rare enough to be left to reflection. */
function reflected(desc: DescMessage): Compiled {
  return {
    encode(message, p) {
      const bytes = toBinary(desc, create(desc, message as Record<string, unknown>));
      reserve(p + bytes.length);
      scratch.bytes.set(bytes, p);
      return p + bytes.length;
    },
    decode(b, p, e, message) {
      mergeFromBinary(desc, message as never, read.readBytes(b, p, e));
    },
    empty: () => create(desc),
  };
}

/** The value of empty bytes fields; shared, as in protobuf-es. */
const NOTHING = new Uint8Array(0);

/** What the text calls `h`: a plain object, so that its functions are constants to the optimiser. */
const helpers = { ...read, ...write };
