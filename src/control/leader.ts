import type { Cancel, Clock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import { ABSENT, type KeyValue, type KeyValueItem } from "../settings/key-value.ts";
import { type LeaderAsk, LeaderMachine, type LeaderRecord } from "./leader-machine.ts";

export interface LeaderOptions {
  store: KeyValue;
  /** Where the record is. Default "leader". */
  key?: string;
  /** Unique to this run. */
  id: string;
  clock: Clock;
  /** How long after a leader was last heard of another one takes over, ms. Default 6,000; the leader stops a sixth earlier. */
  leaseMs?: number;
}

/** One of those of which one leads. */
export interface Leader {
  /** Asked right before each thing that only one may do: false as soon as it was not renewed in time, also in a process that was paused. */
  readonly leading: boolean;
  /** Id of the one that leads, as last seen; "": none. */
  readonly holder: string;
  /** Told of each change of `leading`, never from inside a call. Returns what ends it. */
  onChange(listener: (leading: boolean) => void): () => void;
  /** Leads no more, and lets another one begin at once. Idempotent. */
  close(): Promise<void>;
}

/** Stands for leader from now on. What goes wrong with the store is tried again; nothing rejects. */
export function createLeader(options: LeaderOptions): Leader {
  return new Candidate(options);
}

class Candidate implements Leader {
  readonly #store: KeyValue;
  readonly #key: string;
  readonly #clock: Clock;
  readonly #machine: LeaderMachine;
  readonly #timeoutMs: number;
  readonly #listeners = new Set<(leading: boolean) => void>();
  #told = false;
  #closed = false;
  #asking: Promise<void> = Promise.resolve();
  #cancelTimer: Cancel = ignore;
  #cancelEnd: Cancel = ignore;

  constructor({ store, key = "leader", id, clock, leaseMs = LEASE_MS }: LeaderOptions) {
    if (!(leaseMs >= 500 && leaseMs <= 600_000))
      throw new WeftError("invalid_argument", "a leader's lease lasts from 500 ms to 10 minutes", {
        reason: "BAD_LEASE",
      });
    this.#store = store;
    this.#key = key;
    this.#clock = clock;
    this.#timeoutMs = leaseMs / 3;
    this.#machine = new LeaderMachine(id, { leaseMs, marginMs: leaseMs / 6, lookMs: leaseMs / 6 });
    this.#go();
  }

  get leading(): boolean {
    return !this.#closed && this.#machine.leads(this.#clock.now());
  }

  get holder(): string {
    return this.#machine.holder;
  }

  onChange(listener: (leading: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelTimer();
    this.#cancelEnd();
    this.#tell();
    // A renewal that is under way makes another record of it.
    await this.#asking;
    const release = this.#machine.release(this.#clock.now());
    if (release !== null) await this.#put(release).catch(ignore);
  }

  #go(): void {
    this.#cancelTimer();
    if (this.#closed) return;
    const now = this.#clock.now();
    const next = this.#machine.next(now);
    if (typeof next === "number") this.#cancelTimer = this.#clock.after(Math.max(1, next - now), () => this.#go());
    else this.#asking = this.#ask(next).then(() => this.#go());
  }

  async #ask(ask: LeaderAsk): Promise<void> {
    const machine = this.#machine;
    try {
      if (ask.ask === "put") {
        const version = await this.#put(ask);
        machine.took(ask.record, version, this.#clock.now());
      } else {
        const item = await this.#within(this.#store.get(this.#key));
        machine.saw(recordOf(item), item?.version ?? ABSENT, this.#clock.now());
      }
    } catch {
      // The store is away: whoever leads stops when its lease ends, and everybody looks again.
      machine.failed(this.#clock.now());
    }
    this.#tell();
  }

  #put({ record, expected }: Extract<LeaderAsk, { ask: "put" }>): Promise<string | null> {
    return this.#within(this.#store.put(this.#key, encode(record), expected));
  }

  /** Tells of a change, and waits for the end of what was renewed last. */
  #tell(): void {
    this.#cancelEnd();
    const { leading } = this;
    if (leading) {
      const leftMs = this.#machine.leadsUntilMs - this.#clock.now();
      this.#cancelEnd = this.#clock.after(Math.max(0, leftMs), () => this.#tell());
    }
    if (leading === this.#told) return;
    this.#told = leading;
    for (const listener of this.#listeners) listener(leading);
  }

  /** What hangs is given up, so that it is looked at anew. */
  #within<T>(asked: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(this.#timeoutMs, () =>
        reject(new WeftError("deadline_exceeded", "the store did not answer", { reason: "STORE_SILENT" })),
      );
      asked.then(resolve, reject).finally(cancel);
    });
  }
}

function encode(record: LeaderRecord): Uint8Array {
  return Buffer.from(JSON.stringify(record));
}

/** What cannot be read is nobody's: whoever is first takes its place. */
function recordOf(item: KeyValueItem | null): LeaderRecord | null {
  if (item === null) return null;
  try {
    const { holder, term, put, leaseMs } = JSON.parse(Buffer.from(item.value).toString()) as Partial<LeaderRecord>;
    const numbers = [term, put, leaseMs].every((each) => Number.isSafeInteger(each) && (each as number) >= 0);
    if (typeof holder === "string" && numbers && (leaseMs as number) <= 600_000)
      return { holder, term, put, leaseMs } as LeaderRecord;
  } catch {
    // as one of nobody
  }
  return { holder: "", term: 0, put: 0, leaseMs: 0 };
}

function ignore(): void {}

const LEASE_MS = 6_000;
