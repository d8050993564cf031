import type { Random } from "../core/random.ts";
import { formatMs } from "./format-ms.ts";
import { companionId, isAlive, isEnding, type MutableInstance, mainId, type Unit } from "./supervised.ts";
import type {
  Instance,
  NoticeType,
  SupervisorEffect,
  SupervisorOptions,
  SupervisorPhase,
  UnitSpec,
} from "./supervisor-types.ts";

/**
 * Decides when each process of a system is started, replaced, restarted and stopped. A pure machine: events are methods that take
 * `now` (monotonic ms), what is to be done comes out of `take()`, and `wakeAt` says when `tick` is wanted. Its shell is host.ts.
 *
 * One instance (a replica of a unit):
 *
 *                needs are ready            ready
 *     waiting ------------------> starting -------> ready --(stop, replaced)--> draining --exited--> gone
 *                                  ^    |             |                            | drainMs and 5 s passed
 *                   delay is over  |    | exited, or never ready in time           v
 *                                  |    v             | exited                  killing --exited--> gone
 *                                  +- backoff <-------+
 *
 * The system: idle -> starting -> ready -> stopping -> stopped; from starting also straight to stopping, when an instance gives up.
 *
 * Invariants, each with a test of its number:
 *   S1  An instance is first started when every instance of every unit that it needs is ready.
 *   S2  An id has at most one process; after an exit it is started again only when its back-off has passed.
 *   S3  Back-off doubles from `backoffMinMs` to `backoffMaxMs`, less a random part of up to half, and starts anew after `stableMs` of being ready.
 *   S4  While the system starts, an instance that exits `startAttempts` times or is not ready in its time-out stops everything, with a reason.
 *   S5  A rolling replacement starts the new instance, waits until it is ready, then drains the old one: ready instances never fall
 *       below the unit's replicas by it. One that does not get ready is ended, and the old one stays.
 *   S6  Stopping goes in reverse: a unit drains when nothing that needs it is alive. "stopped" comes when no process is left.
 *   S7  The second stop kills every process at once.
 *   S8  After "stopped" there are no effects.
 *   S9  A companion (`beside`) is ready before its instance is first started, is restarted alone, and ends when its instance is gone.
 */
export class SupervisorMachine {
  readonly #options: Required<SupervisorOptions>;
  readonly #random: Random;
  readonly #units = new Map<string, Unit>();
  readonly #instances = new Map<string, MutableInstance>();
  #effects: SupervisorEffect[] = [];
  #phase: SupervisorPhase = "idle";
  #failure: string | null = null;
  #forced = false;

  constructor(units: readonly UnitSpec[], random: Random, options: SupervisorOptions = {}) {
    this.#options = { backoffMinMs: 250, backoffMaxMs: 30_000, stableMs: 10_000, startAttempts: 3, ...options };
    this.#random = random;
    for (const spec of units)
      this.#units.set(spec.name, { spec, dependents: [], companion: null, nextNumber: 1, roll: null });
    for (const unit of this.#units.values()) {
      const main = unit.spec.beside === undefined ? undefined : this.#units.get(unit.spec.beside.unit);
      if (main !== undefined) main.companion = unit;
      for (const need of unit.spec.needs) this.#units.get(need)?.dependents.push(unit);
    }
  }

  get phase(): SupervisorPhase {
    return this.#phase;
  }

  /** Why the start was given up; null while nothing went wrong. */
  get failure(): string | null {
    return this.#failure;
  }

  /** Instances that exist now, in order of creation. */
  get instances(): Iterable<Instance> {
    return this.#instances.values();
  }

  instance(id: string): Instance | undefined {
    return this.#instances.get(id);
  }

  /** When tick() is wanted next; Infinity when nothing is due. */
  get wakeAt(): number {
    let at = Number.POSITIVE_INFINITY;
    for (const instance of this.#instances.values()) at = Math.min(at, instance.dueAt);
    return at;
  }

  /** What is to be done, in order. Forgets it. */
  take(): readonly SupervisorEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  // --- events ---------------------------------------------------------------------------------------------------

  start(now: number): void {
    if (this.#phase !== "idle") return;
    this.#phase = "starting";
    for (const unit of this.#units.values()) {
      if (unit.spec.beside !== undefined) continue;
      for (let n = 0; n < unit.spec.replicas; n++) this.#create(unit, "waiting", now);
    }
    this.#settle(now);
  }

  /** The instance is registered and healthy. */
  ready(id: string, now: number): void {
    const instance = this.#instances.get(id);
    if (instance === undefined || instance.state !== "starting") return;
    instance.state = "ready";
    instance.readySince = now;
    instance.dueAt = Number.POSITIVE_INFINITY;
    this.#note("ready", instance, `ready after ${formatMs(now - instance.since)}`);
    this.#settle(now);
  }

  /** The instance's process ended or could not be started. `reason`: "exit status 1", "killed by SIGKILL". */
  exited(id: string, reason: string, now: number): void {
    const instance = this.#instances.get(id);
    if (
      instance === undefined ||
      instance.state === "waiting" ||
      instance.state === "backoff" ||
      instance.state === "exited"
    )
      return;
    const wanted = isEnding(instance);
    const why = instance.killReason ?? reason;
    instance.killReason = null;
    this.#note("exited", instance, wanted ? `stopped (${reason})` : why, wanted);
    if (wanted || this.#phase === "stopping") this.#remove(instance, now);
    else this.#crashed(instance, why, now);
    this.#settle(now);
  }

  /** Time passed; call it at `wakeAt`. */
  tick(now: number): void {
    for (const instance of [...this.#instances.values()]) {
      if (instance.dueAt > now || !this.#instances.has(instance.id)) continue;
      instance.dueAt = Number.POSITIVE_INFINITY;
      if (instance.state === "backoff") this.#spawn(instance, now);
      else if (instance.state === "starting") this.#notReadyInTime(instance, now);
      else if (instance.state === "draining") this.#kill(instance, null);
    }
    this.#settle(now);
  }

  /** Replaces every instance of a unit, one after the other. False when the system is not ready, or the unit is unknown or being replaced. */
  restart(unitName: string, now: number): boolean {
    const unit = this.#units.get(unitName);
    if (unit === undefined || this.#phase !== "ready" || unit.roll !== null) return false;
    const queue = [...this.#of(unit)].map((instance) => instance.id);
    unit.roll = { queue, old: null, fresh: null };
    this.#effects.push({
      kind: "notice",
      type: "replacing",
      unit: unitName,
      id: "",
      text: queue.length === 1 ? "replacing its instance" : `replacing its ${queue.length} instances`,
      delayMs: 0,
    });
    this.#settle(now);
    return true;
  }

  /** The first stops in order, the second kills. */
  stop(now: number): void {
    if (this.#phase === "stopped") return;
    if (this.#phase === "stopping") {
      this.#forced = true;
      for (const instance of this.#instances.values()) if (instance.state !== "killing") this.#kill(instance, null);
    } else {
      this.#phase = "stopping";
      for (const unit of this.#units.values()) unit.roll = null;
      for (const instance of [...this.#instances.values()]) if (!isAlive(instance)) this.#remove(instance, now);
    }
    this.#settle(now);
  }

  /** Gives up: stops everything with a reason. */
  fail(message: string, now: number): void {
    if (this.#phase === "stopping" || this.#phase === "stopped") return;
    this.#failure = message;
    this.stop(now);
  }

  // --- what follows from an event -------------------------------------------------------------------------------

  #settle(now: number): void {
    if (this.#phase === "stopping") this.#settleStopping(now);
    if (this.#phase !== "starting" && this.#phase !== "ready") return;
    for (const instance of this.#instances.values()) {
      if (instance.state === "waiting" && this.#mayStart(instance)) this.#spawn(instance, now);
    }
    for (const unit of this.#units.values()) this.#settleRoll(unit, now);
    if (this.#phase === "starting" && [...this.#instances.values()].every((instance) => instance.state === "ready")) {
      this.#phase = "ready";
      this.#effects.push({ kind: "ready" });
    }
  }

  #settleStopping(now: number): void {
    for (const unit of this.#units.values()) {
      if (unit.dependents.some((dependent) => this.#alive(dependent))) continue;
      for (const instance of this.#of(unit)) {
        if (instance.state === "starting" || instance.state === "ready") this.#drain(instance, now);
      }
    }
    if (this.#instances.size === 0) {
      this.#phase = "stopped";
      this.#effects.push({ kind: "stopped", forced: this.#forced });
    }
  }

  #settleRoll(unit: Unit, now: number): void {
    for (let roll = unit.roll; roll !== null; ) {
      const fresh = roll.fresh === null ? undefined : this.#instances.get(roll.fresh);
      const old = roll.old === null ? undefined : this.#instances.get(roll.old);
      if (fresh !== undefined) {
        if (fresh.state !== "ready") return;
        if (old !== undefined) {
          if (!isEnding(old)) this.#retire(old, now);
          if (this.#instances.has(old.id)) return;
        }
        roll.fresh = roll.old = null;
      } else if (old !== undefined) {
        if (isAlive(old)) return; // recreate: waits for its end
        this.#remove(old, now);
        continue;
      } else if (roll.old !== null) {
        // Its companion ends with it, and is made anew with it; a companion whose instance is gone is not wanted again.
        if (unit.companion !== null && this.#instances.has(companionId(roll.old, unit.companion))) return;
        if (unit.spec.beside !== undefined && !this.#instances.has(mainId(roll.old, unit))) {
          roll.old = null;
          continue;
        }
        roll.fresh = this.#create(unit, "starting", now, roll.old).id;
        roll.old = null;
        return;
      }
      const next = roll.queue.shift();
      if (next === undefined) {
        unit.roll = null;
        this.#effects.push({
          kind: "notice",
          type: "replaced",
          unit: unit.spec.name,
          id: "",
          text: "every instance was replaced",
          delayMs: 0,
        });
        return;
      }
      const instance = this.#instances.get(next);
      if (instance === undefined) continue;
      roll.old = next;
      if (unit.spec.replace === "rolling") roll.fresh = this.#create(unit, "starting", now).id;
      else this.#retire(instance, now);
    }
  }

  /** Ends an instance that something else takes the place of. */
  #retire(instance: MutableInstance, now: number): void {
    if (instance.state === "starting" || instance.state === "ready") this.#drain(instance, now);
    else if (instance.state === "killing")
      instance.killReason = null; // whatever it is killed for, it is not wanted again
    else if (!isAlive(instance)) this.#remove(instance, now);
  }

  /** Its companion ends with it. */
  #remove({ id, unit: { companion } }: MutableInstance, now: number): void {
    this.#instances.delete(id);
    const beside = companion === null ? undefined : this.#instances.get(companionId(id, companion));
    if (beside !== undefined) this.#retire(beside, now);
  }

  #crashed(instance: MutableInstance, reason: string, now: number): void {
    const { unit } = instance;
    instance.lastReason = reason;
    const main = instance.main === null ? undefined : this.#instances.get(instance.main);
    // A companion that does not start keeps its instance from starting.
    const kept = main?.state === "waiting" ? main : instance;
    const roll = kept.unit.roll;
    const old = roll === null || roll.old === null ? undefined : this.#instances.get(roll.old);
    // Once the new instance was ready, the old one ends, and nothing but the new one is left.
    if (roll !== null && roll.fresh === kept.id && kept.readySince < 0 && (old === undefined || !isEnding(old))) {
      kept.unit.roll = null;
      const oldStays = old !== undefined;
      const text = `${instance.id} did not get healthy (${reason}); ${oldStays ? `${roll.old} stays` : "it is tried again"}`;
      this.#effects.push({
        kind: "notice",
        type: "replace-failed",
        unit: kept.unitName,
        id: instance.id,
        text,
        delayMs: 0,
      });
      if (oldStays) {
        this.#instances.delete(instance.id);
        this.#remove(kept, now);
        return;
      }
    } else if (roll !== null && roll.old === instance.id) {
      this.#remove(instance, now); // its replacement is on the way
      return;
    }
    const stable = instance.readySince >= 0 && now - instance.readySince >= this.#options.stableMs;
    instance.failures = stable ? 1 : instance.failures + 1;
    const wasReady = instance.readySince >= 0;
    instance.readySince = -1;
    if (
      this.#phase === "starting" &&
      (instance.failures >= this.#options.startAttempts || (unit.spec.restart === "never" && !wasReady))
    ) {
      const times = instance.failures > 1 ? `, ${instance.failures} times in a row` : "";
      instance.state = "exited";
      this.fail(`${instance.id} did not start: ${reason}${times}`, now);
      return;
    }
    if (unit.spec.restart === "never") {
      instance.state = "exited";
      instance.since = now;
      return;
    }
    const { backoffMinMs, backoffMaxMs } = this.#options;
    const ceiling = Math.min(backoffMaxMs, backoffMinMs * 2 ** Math.min(30, instance.failures - 1));
    const delayMs = ceiling * (1 - this.#random.next() / 2);
    instance.state = "backoff";
    instance.since = now;
    instance.restarts++;
    instance.dueAt = now + delayMs;
    this.#note("restarting", instance, `restarts in ${formatMs(delayMs)}`, false, delayMs);
  }

  #notReadyInTime(instance: MutableInstance, now: number): void {
    const reason = `not healthy within ${formatMs(instance.unit.spec.readyTimeoutMs)}`;
    if (this.#phase === "starting")
      this.fail(
        `${instance.id} is ${reason}${instance.lastReason === "" ? "" : ` (last: ${instance.lastReason})`}`,
        now,
      );
    else this.#kill(instance, reason);
  }

  // --- primitives -----------------------------------------------------------------------------------------------

  #create(unit: Unit, state: "waiting" | "starting", now: number, sameId?: string): MutableInstance {
    const id = sameId ?? `${unit.spec.prefix}-${unit.nextNumber++}`;
    const { companion } = unit;
    if (companion !== null) this.#create(companion, state, now, companionId(id, companion));
    const instance: MutableInstance = {
      id,
      unit,
      unitName: unit.spec.name,
      main: unit.spec.beside === undefined ? null : mainId(id, unit),
      state: "waiting",
      since: now,
      readySince: -1,
      firstSpawnAt: -1,
      dueAt: Number.POSITIVE_INFINITY,
      failures: 0,
      restarts: 0,
      lastReason: "",
      killReason: null,
    };
    this.#instances.set(id, instance);
    if (state === "starting" && companion === null) this.#spawn(instance, now);
    return instance;
  }

  #spawn(instance: MutableInstance, now: number): void {
    // While the system starts, all tries of an instance share one time-out; later each try has its own.
    if (instance.firstSpawnAt < 0 || this.#phase !== "starting") instance.firstSpawnAt = now;
    instance.state = "starting";
    instance.since = now;
    instance.dueAt = instance.firstSpawnAt + instance.unit.spec.readyTimeoutMs;
    this.#effects.push({ kind: "spawn", id: instance.id, unit: instance.unitName });
    this.#note("starting", instance, "starting");
  }

  #drain(instance: MutableInstance, now: number): void {
    instance.state = "draining";
    instance.since = now;
    instance.dueAt = now + instance.unit.spec.drainMs + KILL_GRACE_MS;
    this.#effects.push({ kind: "terminate", id: instance.id });
    this.#note("draining", instance, "draining");
  }

  #kill(instance: MutableInstance, reason: string | null): void {
    instance.state = "killing";
    instance.killReason = reason;
    instance.dueAt = Number.POSITIVE_INFINITY;
    this.#effects.push({ kind: "kill", id: instance.id });
    this.#note("killing", instance, reason === null ? "killed" : `killed: ${reason}`);
  }

  #note(type: NoticeType, instance: MutableInstance, text: string, expected = true, delayMs = 0): void {
    this.#effects.push({
      kind: "notice",
      type: type === "exited" && !expected ? "crashed" : type,
      unit: instance.unitName,
      id: instance.id,
      text,
      delayMs,
    });
  }

  #needsReady(unit: Unit): boolean {
    return unit.spec.needs.every((name) => {
      const need = this.#units.get(name);
      return need === undefined || [...this.#of(need)].every((instance) => instance.state === "ready");
    });
  }

  /** Once the system is ready, an instance waits for its companion alone. */
  #mayStart({ id, unit }: MutableInstance): boolean {
    if (this.#phase === "starting" && !this.#needsReady(unit)) return false;
    const { companion } = unit;
    return companion === null || this.#instances.get(companionId(id, companion))?.state === "ready";
  }

  #alive(unit: Unit): boolean {
    for (const instance of this.#of(unit)) if (isAlive(instance)) return true;
    return false;
  }

  *#of(unit: Unit): Iterable<MutableInstance> {
    for (const instance of this.#instances.values()) if (instance.unit === unit) yield instance;
  }
}

/** A process drains by itself within its drain time; what has not ended so much later is killed. */
const KILL_GRACE_MS = 5_000;
