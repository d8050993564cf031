import type { Instance, InstancePhase, UnitSpec } from "./supervisor-types.ts";

/** A unit as the supervisor's machine keeps it. */
export interface Unit {
  readonly spec: UnitSpec;
  readonly dependents: Unit[];
  /** Each instance has one of that unit beside it. */
  companion: Unit | null;
  nextNumber: number;
  /** A replacement under way: `fresh` takes the place of `old`, then the next of `queue` is `old`. */
  roll: { queue: string[]; old: string | null; fresh: string | null } | null;
}

/** An instance as it changes; others see it as Instance. */
export interface MutableInstance {
  readonly id: string;
  readonly unit: Unit;
  readonly unitName: string;
  /** The instance that this one is beside; null for those that stand alone. */
  readonly main: string | null;
  state: InstancePhase;
  since: number;
  /** -1 while it has not been ready since its last start. */
  readySince: number;
  firstSpawnAt: number;
  dueAt: number;
  failures: number;
  restarts: number;
  lastReason: string;
  /** Set when we kill it for a reason of our own, which is then the reason of its exit. */
  killReason: string | null;
}

/** It has a process. */
export function isAlive(instance: Instance): boolean {
  return (
    instance.state === "starting" ||
    instance.state === "ready" ||
    instance.state === "draining" ||
    instance.state === "killing"
  );
}

/** It was asked to end, and is not started again. */
export function isEnding({ state, killReason }: MutableInstance): boolean {
  return state === "draining" || (state === "killing" && killReason === null);
}

/** Of the instance of `companion` beside the instance `id`. */
export function companionId(id: string, companion: Unit): string {
  return `${id}${companionSuffix(companion)}`;
}

/** Of the instance that `id`, an instance of `companion`, is beside. */
export function mainId(id: string, companion: Unit): string {
  return id.slice(0, -companionSuffix(companion).length);
}

function companionSuffix({ spec }: Unit): string {
  return spec.beside === undefined ? "" : `-${spec.beside.suffix}`;
}
