import type { Endpoint } from "../../core/endpoint.ts";
import type { Random } from "../../core/random.ts";

/**
 * Through which a call reads randomness and whatever state of the process its decision depends on. Off, it passes everything through; while
 * recording it keeps each value read, in order; while playing it gives the recorded ones in place of the present ones, so that a decision comes out again
 * exactly as it was; while guided it gives the recorded draw and picks as long as they make sense, and reads everything else afresh.
 */
export class Tape implements Random {
  readonly #random: Random;
  #mode: TapeMode = OFF;
  #values: unknown[] = [];
  #at = 0;
  #picks: TapedPick[] = [];
  #picked = 0;
  /** Draws outside of picks. */
  #draws: number[] = [];
  #drawn = 0;
  #inPick = false;
  #guide: TapeGuide | null = null;
  #bring: (endpoint: Endpoint) => void = ignore;

  constructor(random: Random) {
    this.#random = random;
  }

  /** A draw in [0, 1). */
  next(): number {
    if (this.#mode === OFF) return this.#random.next();
    const draw =
      this.#mode === GUIDED ? (this.#guide?.draws[this.#drawn++] ?? this.#random.next()) : this.#random.next();
    if (this.#mode === RECORDING && !this.#inPick) this.#draws.push(draw);
    return this.#taped(draw) as number;
  }

  /** The draw that chooses among backends. */
  nextSplit(): number {
    if (this.#mode === GUIDED) return this.#guide?.splitDraw ?? this.#random.next();
    return this.#mode === OFF ? this.#random.next() : (this.#taped(this.#random.next()) as number);
  }

  /** A value of state, read by `value`'s evaluation. */
  read(value: number): number {
    return this.#mode === OFF ? value : (this.#taped(value) as number);
  }

  /** The same for what is more than a number: plain data. */
  keep<T>(value: T): T {
    return this.#mode === OFF ? value : (this.#taped(value) as T);
  }

  /**
   * What was found out from things that no recording holds (credentials, and what is known of them), so that it cannot be worked out again: plain data told by
   * `tell` under the same name. Undefined when it has to be worked out now.
   */
  recall(name: string): unknown {
    if (this.#mode === PLAYING) return (this.#taped(undefined) as Record<string, unknown> | undefined)?.[name];
    return this.#mode === GUIDED ? this.#guide?.recall?.(name) : undefined;
  }

  /** The name is kept as it is, texts in `value` may be redacted. */
  tell(name: string, value: unknown): void {
    if (this.#mode === RECORDING) this.#taped({ [name]: value });
  }

  /** True unless it is off: picks go through `pick`. */
  get on(): boolean {
    return this.#mode !== OFF;
  }

  /**
   * An endpoint picked by `choose`, which leaves in `seen` what it looked at; what `choose` itself reads is part of the pick. Endpoints are found again by
   * their id. `bindingName` says among whose endpoints.
   */
  pick(
    bindingName: string,
    seen: object,
    table: PickTable,
    usable: (slot: number) => boolean,
    choose: () => number,
  ): number {
    switch (this.#mode) {
      case RECORDING: {
        const values = this.#values;
        this.#values = [];
        this.#inPick = true;
        const slot = choose();
        this.#inPick = false;
        const draws = this.#values;
        this.#values = values;
        this.#picks.push({ endpoint: slot < 0 ? null : table.endpoints[slot], seen: plain(seen), draws });
        return slot;
      }
      case PLAYING: {
        const pick = this.#picks.at(this.#picked++);
        if (pick === undefined) return choose();
        Object.assign(seen, pick.seen);
        if (pick.endpoint === null) return -1;
        this.#bring(pick.endpoint);
        return slotOf(table, pick.endpoint.id);
      }
      case GUIDED: {
        const guided = this.#guide?.pick(bindingName, this.#picked++) ?? null;
        const slot = guided === null || guided.endpoint === null ? -1 : slotOf(table, guided.endpoint.id);
        if (guided === null || slot < 0 || !usable(slot)) return choose();
        Object.assign(seen, guided.seen);
        return slot;
      }
      default:
        return choose();
    }
  }

  /** Whether values other than the recorded ones were asked for, or fewer of them: the call took another way. */
  get diverged(): boolean {
    return this.#mode === PLAYING && (this.#at !== this.#values.length || this.#picked !== this.#picks.length);
  }

  record(): void {
    this.#mode = RECORDING;
    this.#values = [];
    this.#picks = [];
    this.#draws = [];
  }

  /** What was recorded since `record`. */
  get recorded(): TapeRecord {
    return { values: this.#values, picks: this.#picks, draws: this.#draws };
  }

  /** `bring` is told of an endpoint that was picked, to put it into the table as it was then. */
  play({ values, picks }: Pick<TapeRecord, "values" | "picks">, bring: (endpoint: Endpoint) => void): void {
    this.#mode = PLAYING;
    this.#bring = bring;
    this.#values = [...values];
    this.#picks = [...picks];
    this.#at = this.#picked = 0;
  }

  guide(guide: TapeGuide): void {
    this.#mode = GUIDED;
    this.#guide = guide;
    this.#picked = this.#drawn = 0;
  }

  off(): void {
    this.#mode = OFF;
    this.#guide = null;
    this.#bring = ignore;
  }

  #taped(present: unknown): unknown {
    if (this.#mode === RECORDING) this.#values.push(present);
    else if (this.#mode === PLAYING) {
      const at = this.#at++;
      if (at < this.#values.length) return this.#values[at];
    }
    return present;
  }
}

/** What one call read, in order. */
export interface TapeRecord {
  readonly values: readonly unknown[];
  readonly picks: readonly TapedPick[];
  /** The random draws among `values` but for the backend's, once more: under another policy they are used in this order, for whatever is drawn then. */
  readonly draws: readonly number[];
}

export interface TapedPick {
  /** Null: there was none to be had. */
  readonly endpoint: Endpoint | null;
  /** What the balancer looked at (balance/pick.ts). */
  readonly seen: Readonly<Record<string, number | string | boolean>>;
  /** Random draws and values that the balancer read. */
  readonly draws: readonly unknown[];
}

/** What a call under another policy takes over from its recording. */
export interface TapeGuide {
  /** The recorded draw, null when a backend was not drawn. */
  readonly splitDraw: number | null;
  /** The recorded draws, so that what differs comes of policy and not of chance. */
  readonly draws: readonly number[];
  /** What was told under a name, the last of it; undefined when nothing was. */
  recall?(name: string): unknown;
  /** The recorded pick for the call's `at`th attempt (from 0), null when it means nothing under this policy. */
  pick(bindingName: string, at: number): TapedPick | null;
}

export interface PickTable {
  readonly endpoints: readonly (Endpoint | null)[];
}

/** -1 for an id that is not there. In turn: recordings are played where time does not matter. */
function slotOf({ endpoints }: PickTable, id: string): number {
  return endpoints.findIndex((endpoint) => endpoint?.id === id);
}

function plain(seen: object): Record<string, number | string | boolean> {
  const out: Record<string, number | string | boolean> = {};
  for (const [name, value] of Object.entries(seen)) {
    if (typeof value === "number" || typeof value === "string" || typeof value === "boolean") out[name] = value;
  }
  return out;
}

function ignore(): void {}

type TapeMode = 0 | 1 | 2 | 3;
const OFF = 0;
const RECORDING = 1;
const PLAYING = 2;
const GUIDED = 3;
