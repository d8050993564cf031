import { isDocument, LineCounter, parseAllDocuments } from "yaml";
import { type Place, WeftError } from "../../core/errors.ts";
import { JsonPlaces } from "./json-places.ts";
import { ResourceDocument } from "./resource-document.ts";
import type { FieldPath } from "./shape.ts";

/**
 * Reads a YAML (or JSON) file of one or more documents. Throws `invalid_argument` with the place of the first syntax error.
 * Aliases are limited, so that a small file cannot become a large value.
 */
export function readResourceDocuments(text: string, file: string): ResourceDocument[] {
  const written = canonical(text, file);
  return written === null ? inYaml(text, file).flatMap(unlisted) : unlisted(written);
}

function inYaml(text: string, file: string): ResourceDocument[] {
  const lines = new LineCounter();
  const documents: ResourceDocument[] = [];
  for (const document of parsed(() => parseAllDocuments(text, { lineCounter: lines, prettyErrors: false }), file)) {
    if (!isDocument(document)) continue;
    const [error] = document.errors;
    if (error !== undefined) {
      const { line, col } = lines.linePos(error.pos[0]);
      throw new WeftError("invalid_argument", `${file}:${line}:${col}: ${error.message}`, {
        reason: "INVALID_YAML",
        place: { file, line, column: col },
      });
    }
    const value: unknown = parsed(() => document.toJS({ maxAliasCount: 100 }), file);
    if (value === null || value === undefined) continue; // "---" at the end
    const place = (path: FieldPath): Place => {
      for (let length = path.length; length >= 0; length--) {
        const node = document.getIn(path.slice(0, length), true) as { range?: [number, number, number] } | undefined;
        if (!node?.range) continue;
        const { line, col } = lines.linePos(node.range[0]);
        return { file, line, column: col };
      }
      return { file };
    };
    documents.push(new ResourceDocument(value, place));
  }
  return documents;
}

/** JSON as programs write it, without a blank and without a key that comes twice: a hundred times faster to read than YAML is. Null for every other text. */
function canonical(text: string, file: string): ResourceDocument | null {
  const first = text.charCodeAt(0);
  if (first !== 0x5b && first !== 0x7b) return null;
  try {
    const value: unknown = JSON.parse(text);
    if (JSON.stringify(value) !== text) return null;
    const places = new JsonPlaces(value, file);
    return new ResourceDocument(value, (path) => places.placeOf(path));
  } catch {
    return null; // the other way says what is wrong with it
  }
}

/** What the parser throws by itself: it met too many aliases, or one of nothing, or nesting that exhausts it. */
function parsed<T>(parse: () => T, file: string): T {
  try {
    return parse();
  } catch (thrown) {
    const why = thrown instanceof RangeError ? "it is nested too deep" : thrown instanceof Error ? thrown.message : "";
    throw new WeftError("invalid_argument", `${file}: cannot be read: ${why}`, {
      reason: "INVALID_YAML",
      place: { file },
      cause: thrown,
    });
  }
}

/** The items of a `List`, as `kubectl get -o yaml` prints them; anything else as it is. */
function unlisted(document: ResourceDocument): ResourceDocument[] {
  const { kind, apiVersion, items } = (document.value ?? {}) as {
    kind?: unknown;
    apiVersion?: unknown;
    items?: unknown;
  };
  if (kind !== "List" || apiVersion !== "v1" || !Array.isArray(items)) return [document];
  return items.map((item, i) => new ResourceDocument(item, (path) => document.placeOf(["items", i, ...path])));
}
