import type { HurtLine } from "./hurt-line.ts";
import { wait } from "./registry-plane.ts";

/** What happens to a line, by name, and is over when it resolves. */
export const LINE_FAULTS: Readonly<Record<string, (line: HurtLine) => Promise<void>>> = {
  "cut off for 10 s": async (line) => {
    line.refusing = true;
    line.reset();
    await wait(10_000);
    line.refusing = false;
  },
  "connections reset ten times": async (line) => {
    for (let round = 0; round < 10; round++) {
      line.reset();
      await wait(100);
    }
  },
  "silent without a word for 10 s": async (line) => {
    line.silent = true;
    await wait(10_000);
    line.silent = false;
    line.reset(); // what was sent meanwhile never arrives
  },
};
