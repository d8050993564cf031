import type { Decision } from "../call.ts";
import { CallDecision, copyDecision } from "./decision.ts";

export interface JournalOptions {
  /** Calls that ended well, and all others, that are remembered; the oldest give way. Default 768 and 256: together 1 to 4 MB. */
  readonly recent?: number;
  readonly failed?: number;
}

/** What is remembered of a call, as plain data. */
export interface RememberedCall {
  /** "GET /v1/orders/17"; without the query, which may hold secrets. */
  readonly request: string;
  /** With all its steps. `startedAt` is on the clock of the machine's events. */
  readonly decision: Decision;
}

/**
 * The decisions that a process remembers, for `weft explain`: two rings, so that calls that went well push none out that failed. Of those that went well
 * at most 1,000 a second are kept (256 at once): more would be gone again before anybody asks, and cost what a quiet process does not notice.
 *
 * An ended call's decision is not copied: the ring takes the object, and the machine goes on with the one that falls out of the ring. Texts are made
 * when somebody reads. Measured by bench/policy.ts: 40 to 60 ns a call.
 *
 *     machine --decision of the ended call--> ring [ . . . . . ] --the oldest--> machine
 */
export class DecisionJournal {
  readonly #recent: Ring;
  readonly #failed: Ring;
  /** When the calls that went well and were kept would have been one each SAMPLE_EVERY_MS. */
  #sampleAt = Number.NEGATIVE_INFINITY;
  #nextPlainAt = Number.NEGATIVE_INFINITY;

  constructor({ recent = 768, failed = 256 }: JournalOptions = {}) {
    this.#recent = new Ring(recent);
    this.#failed = new Ring(failed);
  }

  /** Whether an ended call's decision is to be kept. To be asked once a call. */
  wants(decision: CallDecision): boolean {
    if (decision.failed) return true;
    const room = Math.max(this.#sampleAt, decision.startedAt);
    if (room - decision.startedAt > SAMPLE_BURST_MS) return false;
    this.#sampleAt = room + SAMPLE_EVERY_MS;
    return true;
  }

  /** Takes an ended call's decision; gives another to go on with. */
  keep(decision: CallDecision): CallDecision {
    if (!decision.failed) return this.#recent.exchange(decision);
    // What outlier detection knows is told as it is at the call's end, so it is written down now; not for every call while everything fails.
    if (decision.binding?.outliers && decision.startedAt >= this.#nextPlainAt) {
      this.#nextPlainAt = decision.startedAt + PLAIN_EVERY_MS;
      this.#failed.exchange(remembered(decision, true));
      return decision;
    }
    return this.#failed.exchange(decision);
  }

  /** The calls with this request id, oldest first, at most `limit`. */
  find(requestId: string, limit = 32): RememberedCall[] {
    if (requestId === "") return [];
    const found: RememberedCall[] = [];
    for (const ring of [this.#failed, this.#recent])
      ring.collect((decision) => decision.requestId === requestId, found);
    return found.sort((a, b) => a.decision.startedAt - b.decision.startedAt).slice(0, limit);
  }

  /** The newest calls, newest first: of all, or only of those that failed. */
  newest(limit: number, failedOnly = false): RememberedCall[] {
    const found: RememberedCall[] = [];
    for (const ring of failedOnly ? [this.#failed] : [this.#failed, this.#recent])
      ring.collect(() => true, found, limit);
    return found.sort((a, b) => b.decision.startedAt - a.decision.startedAt).slice(0, limit);
  }

  /**
   * Turns what is held into plain data, because the snapshot that it refers to is to be let go: a process that makes a call a minute would otherwise
   * hold hundreds of them.
   */
  settle(): void {
    this.#failed.settle();
    this.#recent.settle();
  }

  get size(): number {
    return this.#failed.size + this.#recent.size;
  }
}

type Entry = CallDecision | RememberedCall;

class Ring {
  readonly #capacity: number;
  readonly #entries: Entry[] = [];
  /** Where the next one goes, when it is full. */
  #next = 0;
  /** Entries that are not settled, newest last: all at and after this distance from the newest. */
  #live = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#entries.length;
  }

  /** A settled entry takes a place, too; what comes back for it is not used. */
  exchange(decision: Entry): CallDecision {
    const entries = this.#entries;
    if (this.#live < this.#capacity) this.#live++;
    if (entries.length < this.#capacity) {
      entries.push(decision);
      return new CallDecision();
    }
    if (this.#capacity === 0) return decision instanceof CallDecision ? decision : new CallDecision();
    const at = this.#next;
    const oldest = entries[at];
    entries[at] = decision;
    this.#next = at + 1 === this.#capacity ? 0 : at + 1;
    return oldest instanceof CallDecision ? oldest : new CallDecision();
  }

  collect(wanted: (decision: Decision) => boolean, found: RememberedCall[], limit = Number.POSITIVE_INFINITY): void {
    const entries = this.#entries;
    for (let back = 1, taken = 0; back <= entries.length && taken < limit; back++) {
      const entry = entries[(this.#next - back + 2 * entries.length) % entries.length];
      if (!wanted(entry instanceof CallDecision ? entry : entry.decision)) continue;
      found.push(remembered(entry));
      taken++;
    }
  }

  settle(): void {
    const entries = this.#entries;
    for (let back = 1; back <= this.#live; back++) {
      const at = (this.#next - back + 2 * entries.length) % entries.length;
      entries[at] = remembered(entries[at]);
    }
    this.#live = 0;
  }
}

/** `atEnd`: the call has only just ended. */
function remembered(entry: Entry, atEnd = false): RememberedCall {
  if (!(entry instanceof CallDecision)) return entry;
  const { method, path } = entry;
  const { explained } = entry;
  entry.explained = true;
  const decision = copyDecision(entry);
  entry.explained = explained;
  const steps = atEnd ? decision.steps : decision.steps.filter(({ rule }) => rule !== "outlier");
  return { request: requestLine(method, path), decision: { ...decision, steps } };
}

/** "GET /v1/orders/17": without the query, and cut where it is very long. */
function requestLine(method: string, path: string): string {
  const mark = path.indexOf("?");
  const bare = mark < 0 ? path : path.slice(0, mark);
  return `${method} ${bare.length > MAX_PATH ? `${bare.slice(0, MAX_PATH)}...` : bare}`;
}

/** 200 a second take 0.2 % of a core. */
const PLAIN_EVERY_MS = 5;
/** Longer paths are cut before they are remembered. */
export const MAX_PATH = 512;

const SAMPLE_EVERY_MS = 1;
const SAMPLE_BURST_MS = 256;
