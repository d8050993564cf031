import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Code, WeftError } from "../../src/core/errors.ts";
import type { Registry } from "../../src/registry/registry.ts";
import type { KeyValue, KeyValueItem } from "../../src/settings/key-value.ts";

/** SQLite's store and registry in a process that can be killed and started again: who waits for an answer then hears `unavailable`, and who asks before it is back waits. */
export class KilledProcess {
  readonly #folder = mkdtempSync(join(tmpdir(), "weft-sqlite-"));
  readonly #waiting = new Map<number, { resolve: (answer: never) => void; reject: (error: WeftError) => void }>();
  #child: ChildProcess | null = null;
  #started = Promise.withResolvers<void>();
  #asked = 0;
  /** How often it was started. */
  #run = 0;

  async start(): Promise<void> {
    const node = ["--conditions=weft-source", "--no-warnings=ExperimentalWarning"];
    const child = fork(join(import.meta.dirname, "child.ts"), [this.#folder], { execArgv: node });
    child.on("message", ({ number, answer, error, message }: Answer) => {
      const waiting = this.#waiting.get(number);
      this.#waiting.delete(number);
      if (error === undefined) waiting?.resolve(answer as never);
      else waiting?.reject(new WeftError(error, message));
    });
    await new Promise<void>((resolve, reject) => {
      child.once("message", () => resolve());
      child.once("exit", (code, signal) => reject(new Error(`it ended with ${code ?? signal} before it was there`)));
    });
    this.#child = child;
    this.#run++;
    this.#started.resolve();
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null) return;
    this.#started = Promise.withResolvers();
    child.kill("SIGKILL");
    await once(child, "exit");
    for (const { reject } of this.#waiting.values()) reject(gone());
    this.#waiting.clear();
  }

  /** SIGSTOP. */
  pause(): void {
    this.#child?.kill("SIGSTOP");
  }

  /** SIGCONT. */
  resume(): void {
    this.#child?.kill("SIGCONT");
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  keyValue(): KeyValue {
    const unused = (): never => {
      throw new Error("not asked here");
    };
    return {
      get: async (key) => {
        const item = await this.#ask<(Omit<KeyValueItem, "value"> & { value: string }) | null>("get", key);
        return item === null ? null : { ...item, value: Buffer.from(item.value) };
      },
      put: (key, value, expected) => this.#ask("put", key, Buffer.from(value).toString(), expected),
      delete: (key, expected) => this.#ask("delete", key, expected),
      list: unused,
      keys: unused,
      watch: unused,
      close: async () => {},
    };
  }

  registry(): Registry {
    const unused = (): never => {
      throw new Error("not asked here");
    };
    return {
      mode: "consistent",
      query: (services) => this.#ask("query", services),
      register: async (endpoint, ttlMs) => {
        const number = ++this.#asked;
        await this.#ask("register", number, endpoint, ttlMs);
        const run = this.#run;
        const release = async (): Promise<void> => {
          // Leases are that process's; what was registered stays for as long as they last.
          if (run !== this.#run) throw new WeftError("not_found", "the lease ended with its process");
          await this.#ask("release", number);
        };
        return { id: endpoint.id, ttlMs, renew: unused, release };
      },
      watch: unused,
      setHealth: unused,
      close: async () => {},
    };
  }

  async #ask<T>(name: string, ...args: unknown[]): Promise<T> {
    await this.#started.promise;
    return new Promise((resolve, reject) => {
      if (this.#child === null) return reject(gone());
      const number = ++this.#asked;
      this.#waiting.set(number, { resolve, reject });
      this.#child.send({ number, name, args }, (error) => error && reject(gone()));
    });
  }
}

interface Answer {
  readonly number: number;
  readonly answer: unknown;
  readonly error?: Code;
  readonly message: string;
}

function gone(): WeftError {
  return new WeftError("unavailable", "the process is gone");
}
