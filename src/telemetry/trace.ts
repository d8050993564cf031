import type { Random } from "../core/random.ts";

/**
 * W3C Trace Context: which trace a call belongs to, and its parent. Source: W3C Recommendation "Trace Context", level 1.
 *
 *     00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
 *     version   trace id (16 bytes)        parent id (8)    flags
 */
export interface TraceParent {
  readonly traceId: string;
  readonly parentId: string;
  readonly sampled: boolean;
}

/** The header's parts, or null where it is malformed (then a new trace begins). Later versions are read as version 00. */
export function parseTraceParent(value: string | undefined): TraceParent | null {
  if (value === undefined) return null;
  const match = TRACEPARENT.exec(value);
  if (match === null || match[1] === "ff" || match[2] === ZERO_TRACE || match[3] === ZERO_SPAN) return null;
  if (match[1] === "00" && value.length !== 55) return null;
  return { traceId: match[2], parentId: match[3], sampled: (Number.parseInt(match[4], 16) & 1) === 1 };
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/;
const ZERO_TRACE = "0".repeat(32);
const ZERO_SPAN = "0".repeat(16);

/**
 * Ids for requests and spans: 16 hex digits, unique with a process's random prefix and a counter that is spread over all bits, so that
 * making one costs a few arithmetic steps and no system call. Not secrets.
 */
export class IdSource {
  readonly #high: string;
  #low: number;

  constructor(random: Random) {
    this.#high = hex32(random.next() * 0x1_0000_0000);
    this.#low = (random.next() * 0x1_0000_0000) >>> 0;
  }

  /** 16 hex digits, never all zero. */
  next(): string {
    this.#low = (this.#low + 0x9e3779b1) >>> 0; // odd: runs through all 2^32 values before one returns
    return this.#high + hex32(this.#low);
  }

  /** A child of `parent`, or a new sampled trace without one. */
  child(parent: TraceParent | null): string {
    const id = this.next();
    if (parent === null) return `00-${this.#high}${id}${id.slice(8)}-${id}-01`;
    return `00-${parent.traceId}-${id}-${parent.sampled ? "01" : "00"}`;
  }
}

function hex32(value: number): string {
  const whole = value >>> 0 || 1;
  return HEX[whole >>> 24] + HEX[(whole >>> 16) & 0xff] + HEX[(whole >>> 8) & 0xff] + HEX[whole & 0xff];
}

const HEX: readonly string[] = Array.from({ length: 0x100 }, (_, i) => i.toString(16).padStart(2, "0"));
