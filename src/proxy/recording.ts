import { randomBytes } from "node:crypto";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { Cancel, Clock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import { systemRandom } from "../core/random.ts";
import { CallRecorder } from "../policy/replay/call-recorder.ts";
import type { RecordedLine } from "../policy/replay/recorded.ts";
import type { PolicyRuntime } from "../policy/runtime.ts";

export interface RecordingOptions {
  policy: PolicyRuntime;
  clock: Clock;
  /** Who records, for people. */
  process: string;
  /** 0..1: which share of the calls. */
  sample: number;
  /** Header fields whose values are kept; all others become hashes, credentials nothing at all. */
  keepHeaders: readonly string[];
  /** Gets compressed bytes, one piece after the other; false or a rejection ends the recording. `segment`: a new segment begins with them. */
  write: (bytes: Uint8Array, segment: boolean) => Promise<boolean> | boolean;
  /** Told when `write` ended it. */
  onEnd?: (error: WeftError | null) => void;
}

/**
 * A recording under way: takes lines from the calls, and every quarter of a second turns them into text (a few hundred at a time, so that calls are not held up
 * for long) and compresses them, on zlib's threads. Each piece is a gzip member of its own: what was written before a crash can be read. While the writer is
 * behind, calls are counted as lost rather than kept.
 */
export class Recording {
  readonly #options: RecordingOptions;
  readonly #recorder: CallRecorder;
  #lines: RecordedLine[] = [];
  #lost = 0;
  #recorded = 0;
  #cancel: Cancel = () => {};
  #flushing: Promise<void> | null = null;
  #stopped = false;

  /** Throws `failed_precondition` when the process is being recorded already. */
  constructor(options: RecordingOptions) {
    const { policy, clock, process, sample, keepHeaders } = options;
    if (policy.record === undefined || recording.has(policy)) {
      throw new WeftError("failed_precondition", "calls of this process are being recorded already", {
        reason: "RECORDING",
      });
    }
    recording.add(policy);
    this.#options = options;
    this.#recorder = new CallRecorder({
      write: (line) => this.#take(line),
      now: () => clock.now(),
      wallAt: clock.wallMs() - clock.now(),
      random: systemRandom,
      salt: randomBytes(16).toString("base64url"),
      process,
      sample,
      keepHeaders,
    });
    policy.record(this.#recorder);
    this.#schedule();
  }

  /** Calls taken so far. */
  get recorded(): number {
    return this.#recorded;
  }

  /** Begins another segment, with the whole state. */
  segment(): void {
    this.#recorder.segment();
  }

  /** Writes what is there and ends. */
  async stop(): Promise<void> {
    if (this.#stopped) return this.#flushing ?? undefined;
    this.#stopped = true;
    this.#cancel();
    recording.delete(this.#options.policy);
    this.#options.policy.record(null);
    await this.#flushing;
    await this.#flush();
  }

  #take(line: RecordedLine): void {
    if (line.t === "call") {
      if (this.#lines.length >= MAX_WAITING) {
        this.#lost++;
        return;
      }
      this.#recorded++;
    }
    this.#lines.push(line);
  }

  #schedule(): void {
    this.#cancel = this.#options.clock.after(FLUSH_EVERY_MS, () => {
      if (this.#stopped) return;
      this.#flushing = this.#flush().finally(() => {
        this.#flushing = null;
        if (!this.#stopped) this.#schedule();
      });
    });
  }

  async #flush(): Promise<void> {
    if (this.#lost > 0) {
      this.#lines.push({ t: "lost", calls: this.#lost });
      this.#lost = 0;
    }
    const lines = this.#lines;
    this.#lines = [];
    let text = "";
    let segment = false;
    for (let at = 0; at < lines.length; at++) {
      if (lines[at].t === "start" && text !== "") {
        if (!(await this.#write(text, segment))) return;
        text = "";
      }
      if (text === "") segment = lines[at].t === "start";
      text += `${JSON.stringify(lines[at])}\n`;
      if (text.length >= PIECE_CHARS) {
        if (!(await this.#write(text, segment))) return;
        text = "";
      } else if (at % LINES_AT_ONCE === LINES_AT_ONCE - 1) await nextTurn();
    }
    if (text !== "") await this.#write(text, segment);
  }

  async #write(text: string, segment: boolean): Promise<boolean> {
    let error: WeftError | null = null;
    try {
      if (await this.#options.write(await compress(text), segment)) return true;
    } catch (thrown) {
      const why = thrown instanceof Error ? thrown.message : String(thrown);
      error = new WeftError("unavailable", `the recording cannot be written: ${why}`, {
        reason: "RECORDING_LOST",
        cause: thrown,
      });
    }
    if (!this.#stopped) {
      this.#stopped = true;
      this.#cancel();
      recording.delete(this.#options.policy);
      this.#options.policy.record(null);
      this.#options.onEnd?.(error);
    }
    return false;
  }
}

/** One recording of a process at a time. */
const recording = new WeakSet<PolicyRuntime>();
const compress = promisify(gzip);
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const FLUSH_EVERY_MS = 250;
const LINES_AT_ONCE = 100;
const PIECE_CHARS = 1_048_576;
/** Calls waiting to be written: some 40 MB. */
const MAX_WAITING = 20_000;
