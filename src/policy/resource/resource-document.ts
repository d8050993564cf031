import type { Place } from "../../core/errors.ts";
import type { FieldPath } from "./shape.ts";

/** A value that somebody wrote in a file, and where its fields stand there. */
export class ResourceDocument {
  readonly value: unknown;
  readonly #place: (path: FieldPath) => Place;

  constructor(value: unknown, place: (path: FieldPath) => Place) {
    this.value = value;
    this.#place = place;
  }

  /** The place of a field, or of the nearest thing around it. */
  placeOf(path: FieldPath): Place {
    return this.#place(path);
  }
}
