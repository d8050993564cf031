import { existsSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { didYouMean } from "../core/suggest.ts";
import { parseAddress } from "./address.ts";
import { type FieldPath, kindOf, type Problems } from "./problems.ts";
import type { Command } from "./resolve-system.ts";

export type Fields = Record<string, unknown>;

/** Reads values of the wanted types; what is of another type is a problem and reads as null. */
export class DescriptionReader {
  readonly problems: Problems;
  readonly dir: string;

  constructor(problems: Problems, dir: string) {
    this.problems = problems;
    this.dir = dir;
  }

  path(path: string): string {
    return isAbsolute(path) ? path : join(this.dir, path);
  }

  object(value: unknown, path: FieldPath): Fields | null {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
    this.problems.add(path, `must be an object, not ${kindOf(value)}`);
    return null;
  }

  array(value: unknown, path: FieldPath): unknown[] | null {
    if (value === undefined) return null;
    if (Array.isArray(value)) return value;
    this.problems.add(path, `must be an array, not ${kindOf(value)}`);
    return null;
  }

  string(value: unknown, path: FieldPath): string | null {
    if (typeof value === "string" && value !== "") return value;
    this.problems.add(path, value === "" ? "must not be empty" : `must be a string, not ${kindOf(value)}`);
    return null;
  }

  /** A string or several. */
  strings(value: unknown, path: FieldPath): string[] {
    if (typeof value === "string") return [value];
    return (this.array(value, path) ?? [])
      .map((item, i) => this.string(item, [...path, i]))
      .filter((item) => item !== null);
  }

  number(value: unknown, path: FieldPath, min: number, max: number): number | null {
    if (value === undefined) return null;
    if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value;
    this.problems.add(
      path,
      `must be a whole number from ${min} to ${max}, not ${typeof value === "number" ? value : kindOf(value)}`,
    );
    return null;
  }

  oneOf<T extends string>(value: unknown, path: FieldPath, choices: readonly T[]): T | null {
    if (value === undefined) return null;
    if (choices.includes(value as T)) return value as T;
    const near = typeof value === "string" ? didYouMean(value, choices) : "";
    this.problems.add(
      path,
      `must be ${choices.map((choice) => `"${choice}"`).join(" or ")}, not ${typeof value === "string" ? `"${value}"` : kindOf(value)}${near}`,
    );
    return null;
  }

  name(value: unknown, path: FieldPath, pattern: RegExp, example: string): string | null {
    if (value === undefined) {
      this.problems.add(path, `is missing; for example "${example}"`);
      return null;
    }
    const text = this.string(value, path);
    if (text !== null && !pattern.test(text))
      this.problems.add(
        path,
        `"${text}" is no name: lower-case letters and digits, with "-" inside; for example "${example}"`,
      );
    return text;
  }

  /** A port of 127.0.0.1, or "host:port". */
  address(value: unknown, path: FieldPath): { host: string; port: number } {
    if (typeof value === "number") return { host: "127.0.0.1", port: this.number(value, path, 0, 65_535) ?? 0 };
    const parsed = typeof value === "string" ? parseAddress(value) : null;
    if (parsed === null) {
      const shown = typeof value === "string" ? `"${value}"` : kindOf(value);
      this.problems.add(path, `must be a port or "host:port", not ${shown}; for example 8080 or "0.0.0.0:8080"`);
    }
    return parsed ?? { host: "127.0.0.1", port: 0 };
  }

  command(value: unknown, path: FieldPath): Command | null {
    if (Array.isArray(value)) {
      const argv = value.map((item, i) => this.string(item, [...path, i])).filter((item) => item !== null);
      if (value.length === 0) this.problems.add(path, 'must name a command: ["python3", "app.py"]');
      return { kind: "exec", argv };
    }
    const file = this.string(value, path);
    if (file === null) return null;
    if (existsSync(this.path(file)) && /\.[cm]?[jt]s$/.test(file)) return { kind: "node", file: this.path(file) };
    if (!/^\S+\.[cm]?[jt]s$/.test(file)) {
      this.problems.add(
        path,
        `"${file}" is no .ts or .js file; write a command as an array: ${JSON.stringify(file.split(/\s+/))}`,
      );
    } else {
      this.problems.add(path, `no file ${file} in ${this.dir}`);
    }
    return { kind: "node", file: this.path(file) };
  }
}
