import { createHmac } from "node:crypto";
import { decoded } from "../machine/request-values.ts";

/**
 * What of a call may be written down. By default values of header fields and of query parameters become hashes, but for those that say nothing of anybody
 * (content types, trace ids...) and those of fields that were asked to be kept; credentials leave no more than that they were there. Bodies are never recorded.
 *
 * A hash is keyed by the recording's salt, so that equal values stay equal within it (a limit by a header still counts by it), and a value that policy
 * names can be found again (`restorer`); whoever has the recording can try out guesses, so it is no protection of values that are easy to guess.
 */
export class Redactor {
  readonly #salt: string;
  readonly #off: boolean;
  readonly #kept: ReadonlySet<string>;
  /** Names that resources mention: what servers say in such fields policy may read. */
  #mentioned: ReadonlySet<string> = new Set();
  /** Values that came lately: a hash costs 3 us. */
  readonly #hashes = new Map<string, string>();

  constructor(salt: string, keepHeaders: readonly string[] = [], off = false) {
    this.#salt = salt;
    this.#off = off;
    this.#kept = new Set([...HARMLESS, ...keepHeaders.map((name) => name.toLowerCase())]);
  }

  get off(): boolean {
    return this.#off;
  }

  /** Resources came into force. */
  mention(resources: readonly unknown[]): void {
    const words = new Set<string>();
    for (const text of textsIn(resources)) words.add(text.toLowerCase());
    this.#mentioned = words;
  }

  requestFields(fields: readonly string[]): readonly string[] {
    const out: string[] = [];
    for (let i = 0; i < fields.length; i += 2) {
      const name = fields[i];
      // Not even where nothing else is redacted: whose call it was is on the tape.
      if (CREDENTIAL.test(name)) out.push(name, MARK);
      else out.push(name, this.#kept.has(name) ? fields[i + 1] : this.hash(fields[i + 1]));
    }
    return out;
  }

  /** Of answers only fields are kept that policy may read. */
  responseFields(fields: readonly string[]): readonly string[] {
    if (this.#off) return [...fields];
    const out: string[] = [];
    for (let i = 0; i < fields.length; i += 2) {
      const name = fields[i];
      if (RESPONSE.has(name) || this.#kept.has(name) || (this.#mentioned.has(name) && !CREDENTIAL.test(name)))
        out.push(name, fields[i + 1]);
    }
    return out;
  }

  /** Values of the query become hashes. */
  path(path: string): string {
    const mark = path.indexOf("?");
    if (this.#off || mark < 0) return path;
    const query = path
      .slice(mark + 1)
      .split("&")
      .map((pair) => {
        const equals = pair.indexOf("=");
        return equals < 0 ? pair : `${pair.slice(0, equals)}=${this.hash(decoded(pair.slice(equals + 1)))}`;
      });
    return `${path.slice(0, mark)}?${query.join("&")}`;
  }

  /** Every text in plain data becomes a hash. */
  data(value: unknown): unknown {
    if (this.#off) return value;
    if (typeof value === "string") return this.hash(value);
    if (Array.isArray(value)) return value.map((item) => this.data(item));
    if (typeof value === "object" && value !== null)
      return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, this.data(item)]));
    return value;
  }

  hash(value: string): string {
    if (this.#off || value === "") return value;
    const known = this.#hashes.get(value);
    if (known !== undefined) return known;
    const hash = MARK + createHmac("sha256", this.#salt).update(value).digest("base64url").slice(0, 16);
    if (value.length <= MAX_KNOWN_LENGTH) {
      if (this.#hashes.size >= MAX_KNOWN) this.#hashes.clear();
      this.#hashes.set(value, hash);
    }
    return hash;
  }
}

/**
 * Puts values back that policy names: hashes in a recording that are those of texts in `resources` become the texts, so that routes, rules and limits that go by
 * exact values match as they did.
 */
export function restorer(salt: string, resources: readonly unknown[]): <T>(value: T) => T {
  const redactor = new Redactor(salt);
  const texts = new Map<string, string>();
  for (const text of textsIn(resources)) texts.set(redactor.hash(text), text);
  const restoreText = (text: string): string => {
    if (!text.includes(MARK)) return text;
    return text.replace(HASH, (hash) => texts.get(hash) ?? hash);
  };
  const restore = (value: unknown): unknown => {
    if (typeof value === "string") return restoreText(value);
    if (Array.isArray(value)) return value.map(restore);
    if (typeof value === "object" && value !== null)
      return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, restore(item)]));
    return value;
  };
  return restore as <T>(value: T) => T;
}

function* textsIn(value: unknown): Generator<string> {
  if (typeof value === "string") yield value;
  else if (typeof value === "object" && value !== null)
    for (const [name, item] of Object.entries(value)) {
      yield name;
      yield* textsIn(item);
    }
}

const MARK = "~";
const MAX_KNOWN = 4_096;
const MAX_KNOWN_LENGTH = 256;
const HASH = /~[A-Za-z0-9_-]{16}/g;
const CREDENTIAL =
  /^(authorization|proxy-authorization|cookie|set-cookie)$|(^|-)(key|token|secret|password|signature)s?(-|$)/;
const HARMLESS = [
  "accept",
  "accept-encoding",
  "access-control-request-method",
  "content-length",
  "content-type",
  "grpc-encoding",
  "grpc-timeout",
  "te",
  "traceparent",
  "upgrade",
  "x-request-id",
];
const RESPONSE: ReadonlySet<string> = new Set([
  ...HARMLESS,
  "age",
  "cache-control",
  "date",
  "expires",
  "grpc-retry-pushback-ms",
  "grpc-status",
  "retry-after",
  "vary",
]);
