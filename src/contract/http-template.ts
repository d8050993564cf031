import { WeftError } from "../core/errors.ts";

/**
 * A path template of google.api.http: `/v1/{name=shelves/*}/books/**:publish`. Source: the grammar in google/api/http.proto.
 *
 *     Template = "/" Segments [ ":" LITERAL ]        Segment  = "*" | "**" | LITERAL | Variable
 *     Segments = Segment { "/" Segment }             Variable = "{" FieldPath [ "=" Segments ] "}"
 */
export interface PathTemplate {
  /** As written. */
  readonly text: string;
  /** One for each path segment; `any` may only be last. */
  readonly segments: readonly TemplateSegment[];
  readonly variables: readonly TemplateVariable[];
  /** The custom verb without its colon, "" when there is none. */
  readonly verb: string;
}

export type TemplateSegment =
  | { readonly kind: "literal"; readonly text: string }
  | { readonly kind: "one" }
  | { readonly kind: "any" };

export interface TemplateVariable {
  /** Names as written: ["order", "id"]. */
  readonly fieldPath: readonly string[];
  /** Segments [start, end) of the template; with an `any` among them, to the end of the path. */
  readonly start: number;
  readonly end: number;
  /** More than one segment may match: slashes are part of the value, and %2F stays as it is. */
  readonly multi: boolean;
}

/** Throws invalid_argument (BAD_TEMPLATE), with the column in the template. */
export function parsePathTemplate(text: string): PathTemplate {
  return new Parser(text).parse();
}

class Parser {
  readonly #text: string;
  #at = 0;
  readonly #segments: TemplateSegment[] = [];
  readonly #variables: TemplateVariable[] = [];

  constructor(text: string) {
    this.#text = text;
  }

  parse(): PathTemplate {
    if (this.#text.length > MAX_LENGTH) this.#fail(`longer than ${MAX_LENGTH} characters`);
    if (!this.#take("/")) this.#fail('must start with "/"');
    if (this.#at < this.#text.length) this.#readSegments(false);
    let verb = "";
    if (this.#take(":")) {
      verb = this.#readLiteral("a verb");
      if (this.#segments.length === 0) this.#fail("a verb needs a segment before it");
    }
    if (this.#at < this.#text.length) this.#fail(`unexpected "${this.#text[this.#at]}"`);
    return { text: this.#text, segments: this.#segments, variables: this.#variables, verb };
  }

  #readSegments(inVariable: boolean): void {
    do this.#readSegment(inVariable);
    while (this.#take("/"));
  }

  #readSegment(inVariable: boolean): void {
    if (this.#segments.at(-1)?.kind === "any") this.#fail('"**" must be the last segment');
    if (this.#take("**")) this.#segments.push({ kind: "any" });
    else if (this.#take("*")) this.#segments.push({ kind: "one" });
    else if (this.#text[this.#at] === "{") {
      if (inVariable) this.#fail("a variable cannot hold another one");
      this.#readVariable();
    } else this.#segments.push({ kind: "literal", text: this.#readLiteral("a segment") });
  }

  #readVariable(): void {
    this.#at++;
    const name = /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*/.exec(this.#text.slice(this.#at))?.[0];
    if (name === undefined) this.#fail('expected a field name after "{"');
    this.#at += name.length;
    const start = this.#segments.length;
    if (this.#take("=")) this.#readSegments(true);
    else this.#segments.push({ kind: "one" });
    if (!this.#take("}")) this.#fail('expected "}"');
    const end = this.#segments.length;
    const multi = end - start > 1 || this.#segments[start].kind === "any";
    if (this.#variables.some(({ fieldPath }) => fieldPath.join(".") === name))
      this.#fail(`variable "${name}" is there twice`);
    this.#variables.push({ fieldPath: name.split("."), start, end, multi });
  }

  #readLiteral(what: string): string {
    const raw = /^[^/:{}=*?#\s]+/.exec(this.#text.slice(this.#at))?.[0];
    if (raw === undefined) this.#fail(`expected ${what}`);
    this.#at += raw.length;
    try {
      return decodeURIComponent(raw);
    } catch {
      this.#fail(`"${raw}" is not valid percent-encoding`);
    }
  }

  #take(token: string): boolean {
    if (!this.#text.startsWith(token, this.#at)) return false;
    this.#at += token.length;
    return true;
  }

  #fail(why: string): never {
    throw new WeftError(
      "invalid_argument",
      `path template "${this.#text.slice(0, 200)}": ${why} (column ${this.#at + 1})`,
      { reason: "BAD_TEMPLATE" },
    );
  }
}

const MAX_LENGTH = 2048;
