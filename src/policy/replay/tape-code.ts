import type { TapeRecord } from "../machine/tape.ts";
import type { Redactor } from "./redactor.ts";

/** A tape as JSON can hold it: numbers that are none there, and "undefined", become objects; texts are redacted. */
export function encodeTape({ values, picks, draws }: TapeRecord, redactor: Redactor): TapeRecord {
  return {
    values: values.map((value) => encode(redactor.data(value))),
    draws,
    picks: picks.map(({ endpoint, seen, draws: drawn }) => ({
      endpoint,
      seen: encode(seen) as (typeof picks)[number]["seen"],
      draws: drawn.map((draw) => encode(redactor.data(draw))),
    })),
  };
}

export function decodeTape({ values, picks, draws }: TapeRecord): TapeRecord {
  return {
    values: values.map(decode),
    draws,
    picks: picks.map(({ endpoint, seen, draws: drawn }) => ({
      endpoint,
      seen: decode(seen) as (typeof picks)[number]["seen"],
      draws: drawn.map(decode),
    })),
  };
}

function encode(value: unknown): unknown {
  if (value === undefined) return { [KEY]: "undefined" };
  if (typeof value === "number") return Number.isFinite(value) ? value : { [KEY]: String(value) };
  if (Array.isArray(value)) return value.map(encode);
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, encode(item)]));
  return value;
}

function decode(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(decode);
  if (typeof value !== "object" || value === null) return value;
  const special = (value as Record<string, unknown>)[KEY];
  if (special === "undefined") return undefined;
  if (typeof special === "string") return Number(special);
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, decode(item)]));
}

const KEY = "$weft";
