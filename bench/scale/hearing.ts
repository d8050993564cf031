import type { ChildProcess } from "node:child_process";
import type { Told } from "./system.ts";

/** What a number of data planes have told, the latest of each kind. */
export class Hearing {
  readonly #planes: number;
  readonly #latest = new Map<Told["kind"], Map<number, Told>>();
  readonly #wake = new Set<() => void>();
  #failure: Error | null = null;

  constructor(planes: number) {
    this.#planes = planes;
  }

  follow(child: ChildProcess): void {
    child.on("message", (told: Told) => {
      if (typeof told !== "object") return;
      this.of(told.kind).set(told.plane, told);
      for (const wake of this.#wake) wake();
    });
    child.on("exit", (code) => {
      if (code !== 0) this.#failure = new Error(`a process ended with ${code}`);
      for (const wake of this.#wake) wake();
    });
  }

  of(kind: Told["kind"]): Map<number, Told> {
    let known = this.#latest.get(kind);
    if (known === undefined) this.#latest.set(kind, (known = new Map()));
    return known;
  }

  /** When each data plane had heard of a value, or of a later one. */
  async reached(kind: Told["kind"], value: number): Promise<number[]> {
    const known = this.of(kind);
    const has = (told: Told): boolean => told.value >= value;
    await this.until(
      () => known.size === this.#planes && [...known.values()].every(has),
      `${kind} ${value} everywhere`,
    );
    return Array.from(known.values(), ({ at }) => at);
  }

  /** Rejects after a minute. */
  until(condition: () => boolean, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (error: Error | null): void => {
        clearTimeout(late);
        this.#wake.delete(look);
        if (error === null) resolve();
        else reject(error);
      };
      const look = (): void => {
        if (this.#failure !== null) done(this.#failure);
        else if (condition()) done(null);
      };
      const late = setTimeout(() => done(new Error(`waited in vain for ${what}`)), 60_000);
      this.#wake.add(look);
      look();
    });
  }
}
