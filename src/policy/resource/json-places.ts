import type { Place } from "../../core/errors.ts";
import type { FieldPath } from "./shape.ts";

/**
 * Where fields stand in a text that is a value as JSON.stringify writes it: that has one line, so that a place is the length of what is written before it. Nothing is
 * parsed for it.
 */
export class JsonPlaces {
  readonly #root: unknown;
  readonly #file: string;
  /** Of an array's elements: their texts where these are known, and from where on each is written once somebody asked. */
  readonly #texts: readonly string[] | null;
  #starts: number[] | null = null;

  constructor(root: unknown, file: string, texts: readonly string[] | null = null) {
    this.#root = root;
    this.#file = file;
    this.#texts = texts;
  }

  /** The place of a field's value, or of the nearest thing around it. */
  placeOf(path: FieldPath): Place {
    let offset = 0;
    let value = this.#root;
    for (const part of path) {
      const inner = value === this.#root && Array.isArray(value) ? this.#startOf(value, part) : startOf(value, part);
      if (inner < 0) break;
      offset += inner;
      value = (value as Record<string | number, unknown>)[part];
    }
    return { file: this.#file, line: 1, column: offset + 1 };
  }

  #startOf(array: readonly unknown[], part: string | number): number {
    if (typeof part !== "number" || part >= array.length) return -1;
    if (this.#starts === null) {
      let at = 1;
      this.#starts = array.map((element, i) => {
        const start = at;
        at += (this.#texts?.[i] ?? JSON.stringify(element)).length + 1;
        return start;
      });
    }
    return this.#starts[part] ?? -1;
  }
}

/** From where on `value[part]` is written in the text of `value`; -1 where there is none. */
function startOf(value: unknown, part: string | number): number {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return -1;
  let at = 1;
  for (const [key, inner] of Object.entries(value)) {
    if (!Array.isArray(value)) at += JSON.stringify(key).length + 1;
    if (key === String(part)) return at;
    at += JSON.stringify(inner).length + 1;
  }
  return -1;
}
