import { WeftError } from "../core/errors.ts";
import { fieldOf } from "../core/fields.ts";

/** What callers may give as metadata: names in any case; bytes for names that end in `-bin`, text for all others. */
export type MetadataInit = Readonly<Record<string, MetadataValue | readonly MetadataValue[]>> | Metadata;
export type MetadataValue = string | Uint8Array;

/** Metadata of a call (gRPC's term for header and trailer fields): several values a name, in order. */
export class Metadata {
  /** Flat, lower-case, as it travels: values of `-bin` names in base64. */
  readonly fields: string[];

  constructor(fields: readonly string[] = []) {
    this.fields = [...fields];
  }

  static from(init: MetadataInit | undefined): Metadata {
    const metadata = new Metadata(init instanceof Metadata ? init.fields : []);
    if (init === undefined || init instanceof Metadata) return metadata;
    appendMetadata(metadata.fields, init);
    return metadata;
  }

  /** The first value of a name, as text (base64 for `-bin` names: see getBinary). */
  get(name: string): string | undefined {
    return fieldOf(this.fields, name.toLowerCase());
  }

  getAll(name: string): string[] {
    const lower = name.toLowerCase();
    return this.fields.filter((_, i) => i % 2 === 1 && this.fields[i - 1] === lower);
  }

  /** Every value of a `-bin` name, decoded. Values joined by a comma, as the gRPC specification allows, are taken apart. */
  getBinary(name: string): Uint8Array[] {
    return this.getAll(name).flatMap((value) =>
      value.split(",").map((part) => new Uint8Array(Buffer.from(part.trim(), "base64"))),
    );
  }

  /** Adds a value. Throws `invalid_argument` for names that the protocol owns and for what cannot travel. */
  append(name: string, value: MetadataValue): void {
    appendField(this.fields, name, value);
  }

  /** Adds a value in place of all that the name had. */
  set(name: string, value: MetadataValue): void {
    this.delete(name);
    this.append(name, value);
  }

  delete(name: string): void {
    const lower = name.toLowerCase();
    for (let i = this.fields.length - 2; i >= 0; i -= 2) if (this.fields[i] === lower) this.fields.splice(i, 2);
  }

  *[Symbol.iterator](): IterableIterator<[name: string, value: string]> {
    for (let i = 0; i < this.fields.length; i += 2) yield [this.fields[i], this.fields[i + 1]];
  }
}

/** Appends what a caller gave to flat fields, checked and encoded for the wire. */
export function appendMetadata(fields: string[], init: MetadataInit): void {
  if (init instanceof Metadata) {
    fields.push(...init.fields);
    return;
  }
  for (const name of Object.keys(init)) {
    const value = init[name];
    if (typeof value === "string" || value instanceof Uint8Array) appendField(fields, name, value);
    else for (const one of value) appendField(fields, name, one);
  }
}

function appendField(fields: string[], name: string, value: MetadataValue): void {
  const lower = name.toLowerCase();
  if (!NAME.test(lower)) throw bad(`"${name}" is no valid metadata name; use letters, digits, "_", "-" and "."`);
  if (RESERVED.test(lower)) throw bad(`metadata "${name}" belongs to the protocol and cannot be set`);
  if (lower.endsWith("-bin") === (typeof value === "string")) {
    throw bad(
      `metadata "${name}" needs ${typeof value === "string" ? "bytes, since its name ends in -bin" : "text, or a name that ends in -bin"}`,
    );
  }
  const text =
    typeof value === "string"
      ? value.trim()
      : Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64").replace(/=+$/, "");
  if (!VALUE.test(text))
    throw bad(`the value of metadata "${name}" is not printable ASCII; use a name that ends in -bin for other bytes`);
  fields.push(lower, text);
}

function bad(message: string): WeftError {
  return new WeftError("invalid_argument", message, { reason: "BAD_METADATA" });
}

const NAME = /^[0-9a-z_.-]+$/;
const VALUE = /^[\x20-\x7e]*$/;
/** Owned by HTTP or gRPC. */
const RESERVED =
  /^(?:grpc-.*|content-(?:type|length)|transfer-encoding|connection|keep-alive|upgrade|te|trailer|host|user-agent)$/;
