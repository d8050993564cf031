import { formatPlace, type Place, WeftError } from "../core/errors.ts";
import { didYouMean } from "../core/suggest.ts";

/** Finds where a field stands in the text it came from; the nearest ancestor's place when the field itself is not to be found. */
export type Locator = (path: FieldPath) => { line: number; column: number } | null;
export type FieldPath = readonly (string | number)[];

/** Collects everything that is wrong in a description, so that it is told at once. */
export class Problems {
  readonly #file: string;
  readonly #locate: Locator;
  readonly #found: { place: Place; message: string }[] = [];

  constructor(file: string, locate: Locator) {
    this.#file = file;
    this.#locate = locate;
  }

  add(path: FieldPath, message: string): void {
    this.#found.push({ place: { file: this.#file, ...this.#locate(path), field: formatPath(path) }, message });
  }

  /** Reports fields that are not among `known`, each with the nearest of them. */
  unknownFields(value: object, path: FieldPath, known: readonly string[]): void {
    for (const name of Object.keys(value)) {
      if (known.includes(name)) continue;
      const near = didYouMean(name, known);
      this.add([...path, name], `unknown field${near === "" ? `; the fields here are ${known.join(", ")}` : near}`);
    }
  }

  get count(): number {
    return this.#found.length;
  }

  /** Throws them all as one `invalid_argument`, which stands at the place of the first. */
  throwIfAny(reason: string): void {
    if (this.#found.length === 0) return;
    this.#found.sort(
      (a, b) => (a.place.line ?? 0) - (b.place.line ?? 0) || (a.place.column ?? 0) - (b.place.column ?? 0),
    );
    const lines = this.#found.map(({ place, message }) => `${formatPlace(place)}: ${message}`);
    throw new WeftError("invalid_argument", lines.join("\n"), { reason, place: this.#found[0].place });
  }
}

/** "services.orders.needs[0]" */
export function formatPath(path: FieldPath): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else if (/^[\w$-]+$/.test(part)) text += text === "" ? part : `.${part}`;
    else text += `[${JSON.stringify(part)}]`;
  }
  return text;
}

/** What a value is, for messages: "a number", "null", "an array". */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
