import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Case, Suite } from "./suite.ts";

/**
 * The same systems and requests through every place where policy is decided (docs/equality.md). A process of its own, which runs the sources: it puts places
 * together that the package does not export. `args`: --seed, --case, --cases, --minutes, --places.
 */
export const equality = (args: readonly string[]): Suite => ({
  name: "equality",
  tools: ["envoy"],
  async run() {
    const cases: Case[] = [];
    const child = fork(join(import.meta.dirname, "equality", "main.ts"), [...args], {
      execArgv: ["--conditions=weft-source", "--no-warnings"],
    });
    child.on("message", (told) => cases.push(told as Case));
    const [code, signal] = await once(child, "close");
    if (code !== 0 && cases.every(({ ok }) => ok)) throw new Error(`it ended with ${code ?? signal}`);
    return cases;
  },
});
