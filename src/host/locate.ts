import { LineCounter, parseDocument } from "yaml";
import type { FieldPath, Locator } from "./problems.ts";

/**
 * Finds a field of an object literal in TypeScript source, so that an error about a value can name the line it was written in. Reads
 * tokens only: it follows keys through nested literals from `defineSystem({` or `export default {`, and where a value is not written
 * as a literal (a variable, a spread, a call) the place of the innermost field that is stands in.
 */
export function locateInSource(text: string): Locator {
  const tokens = tokenize(text);
  const root = findRoot(tokens);
  return (path) => {
    let at = root;
    let found = root < 0 ? null : tokens[root].offset;
    for (const part of path) {
      if (at < 0) break;
      const entry = findEntry(tokens, at, part);
      if (entry === null) break;
      found = tokens[entry.key].offset;
      at = entry.value;
    }
    return found === null ? null : position(text, found);
  };
}

/** The same for YAML. */
export function locateInYaml(text: string): Locator {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  return (path: FieldPath) => {
    for (let length = path.length; length > 0; length--) {
      const parent: unknown = length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true);
      const items = (parent as { items?: unknown[] } | null)?.items ?? [];
      const last = path[length - 1];
      const node: unknown =
        typeof last === "number"
          ? items[last]
          : items.map((item) => (item as { key?: { value?: unknown } }).key).find((key) => key?.value === last);
      const range = (node as { range?: [number, number, number] } | undefined)?.range;
      if (range !== undefined) {
        const { line, col } = lines.linePos(range[0]);
        return { line, column: col };
      }
    }
    return { line: 1, column: 1 };
  };
}

/** Three lines of source around a place, as compilers show them. */
export function codeFrame(text: string, line: number, column?: number): string {
  const lines = text.split(/\r?\n/);
  const first = Math.max(1, line - 1);
  const last = Math.min(lines.length, line + 1);
  const width = String(last).length;
  const shown: string[] = [];
  for (let n = first; n <= last; n++) {
    shown.push(`${n === line ? ">" : " "} ${String(n).padStart(width)} | ${lines[n - 1]}`.trimEnd());
    if (n === line && column !== undefined) shown.push(`  ${" ".repeat(width)} | ${" ".repeat(column - 1)}^`);
  }
  return shown.join("\n");
}

interface Token {
  /** A punctuation character, "name" (identifiers, keywords, numbers), "string", or "template". */
  readonly kind: string;
  readonly value: string;
  readonly offset: number;
}

const TOKEN = /\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/|("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|([\p{L}\p{N}_$]+)|([\s\S])/uy;

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(text); match !== null; match = TOKEN.exec(text)) {
    const offset = match.index;
    if (match[1] !== undefined)
      tokens.push({ kind: "string", value: match[1].slice(1, -1).replace(/\\(.)/g, "$1"), offset });
    else if (match[2] !== undefined) tokens.push({ kind: "name", value: match[2], offset });
    else if (match[3] === "`") {
      tokens.push({ kind: "template", value: "", offset });
      TOKEN.lastIndex = endOfTemplate(text, offset + 1);
    } else if (match[3] !== undefined) tokens.push({ kind: match[3], value: match[3], offset });
  }
  return tokens;
}

/** The offset after a template literal's closing backtick; `${` ... `}` may hold further ones. */
function endOfTemplate(text: string, from: number): number {
  let depth = 0;
  for (let i = from; i < text.length; i++) {
    const c = text[i];
    if (c === "\\") i++;
    else if (depth === 0 && c === "`") return i + 1;
    else if (c === "$" && text[i + 1] === "{" && depth === 0) {
      depth = 1;
      i++;
    } else if (depth > 0 && c === "{") depth++;
    else if (depth > 0 && c === "}") depth--;
    else if (depth > 0 && c === "`") i = endOfTemplate(text, i + 1) - 1;
  }
  return text.length;
}

/** Index of the "{" of the description. */
function findRoot(tokens: readonly Token[]): number {
  for (let i = 0; i + 2 < tokens.length; i++) {
    const [a, b, c] = [tokens[i], tokens[i + 1], tokens[i + 2]];
    if (a.value === "defineSystem" && b.kind === "(" && c.kind === "{") return i + 2;
    if (a.value === "export" && b.value === "default" && c.kind === "{") return i + 2;
  }
  return -1;
}

const OPEN = "([{";
const CLOSE = ")]}";

/** The entry of the literal that opens at `open`: the token of its key (or of the element) and of its value when that is a literal, else -1. */
function findEntry(
  tokens: readonly Token[],
  open: number,
  part: string | number,
): { key: number; value: number } | null {
  const array = tokens[open].kind === "[";
  if (array !== (typeof part === "number")) return null;
  let depth = 0;
  let index = 0;
  let start = open + 1;
  for (let i = open + 1; i < tokens.length; i++) {
    const { kind } = tokens[i];
    if (depth === 0 && (kind === "," || CLOSE.includes(kind))) {
      if (start < i) {
        const key = tokens[start];
        const value = array ? start : start + 2;
        const matches = array ? index === part : (key.kind === "string" || key.kind === "name") && key.value === part;
        if (matches)
          return {
            key: start,
            value: value < i && (tokens[value].kind === "{" || tokens[value].kind === "[") ? value : -1,
          };
        index++;
      }
      if (kind !== ",") return null;
      start = i + 1;
    } else if (OPEN.includes(kind)) depth++;
    else if (CLOSE.includes(kind)) depth--;
  }
  return null;
}

function position(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset);
  return { line: before.split("\n").length, column: offset - before.lastIndexOf("\n") };
}
