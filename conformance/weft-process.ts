import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { weftCommand } from "./system.ts";

/** A weft command that runs until it is stopped, with every line that it prints. */
export class WeftProcess {
  readonly child: ChildProcess;
  readonly lines: string[] = [];
  readonly #heard = new Set<() => void>();
  #closed = false;

  constructor(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.child = spawn(process.execPath, [...weftCommand, ...args], {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      if (stream === null) continue;
      createInterface(stream).on("line", (line) => {
        this.lines.push(line);
        for (const heard of this.#heard) heard();
      });
    }
    // Not "exit": what it printed last may still be on its way.
    this.child.on("close", () => {
      this.#closed = true;
      for (const heard of this.#heard) heard();
    });
  }

  /** The first line that matches, of those before and those to come. `limitMs` says that it hangs, not that it is slow. */
  line(pattern: RegExp, limitMs = 60_000): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#heard.delete(look);
      };
      const look = (): void => {
        for (const line of this.lines) {
          const match = pattern.exec(line);
          if (match !== null) {
            done();
            return resolve(match);
          }
        }
        if (!this.#closed) return;
        done();
        reject(
          new Error(
            `it ended with ${this.child.exitCode ?? this.child.signalCode} before it printed ${pattern}:\n${this.lines.join("\n")}`,
          ),
        );
      };
      const timer = setTimeout(() => {
        done();
        reject(new Error(`not within ${limitMs} ms: ${pattern}\n${this.lines.slice(-20).join("\n")}`));
      }, limitMs);
      this.#heard.add(look);
      look();
    });
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return this.child.exitCode;
    this.child.kill(signal);
    await once(this.child, "exit");
    return this.child.exitCode;
  }
}
