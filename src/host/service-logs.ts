import { join } from "node:path";
import type { Clock } from "../core/clock.ts";
import { LogFile } from "./log-file.ts";

/** One log for each service, opened when it gets its first line. Every line begins with the time, in UTC. */
export class ServiceLogs {
  readonly #dir: string;
  readonly #clock: Clock;
  readonly #onError: (service: string, message: string) => void;
  readonly #files = new Map<string, LogFile>();

  constructor(dir: string, clock: Clock, onError: (service: string, message: string) => void) {
    this.#dir = dir;
    this.#clock = clock;
    this.#onError = onError;
  }

  path(service: string): string {
    return join(this.#dir, `${service}.log`);
  }

  write(service: string, line: string): void {
    let file = this.#files.get(service);
    if (file === undefined) {
      file = new LogFile(this.path(service), { onError: (message) => this.#onError(service, message) });
      this.#files.set(service, file);
    }
    file.write(`${new Date(this.#clock.wallMs()).toISOString()} ${line}`);
  }

  close(): void {
    for (const file of this.#files.values()) file.close();
  }
}
