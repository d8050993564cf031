import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Tool } from "./tools.ts";

/** One case of a suite that others wrote. */
export interface Case {
  readonly name: string;
  readonly ok: boolean;
  readonly detail?: string;
}

export interface Suite {
  readonly name: string;
  /** It mostly waits, and nothing in it is held against a time that others on the machine could make longer. */
  readonly waits?: boolean;
  /** Installed before anything runs: a build takes the whole machine for minutes. */
  readonly tools?: readonly Tool[];
  run(): Promise<readonly Case[]>;
}

export interface Verdict {
  readonly passed: number;
  readonly failed: number;
}

/**
 * Runs a suite and holds its result against conformance/known-failing/NAME.txt (a case's name a line; `#` begins a comment). A case that fails and
 * is not listed fails the run; so does one that is listed and passes, so that the list only gets shorter; so does a suite that ran nothing.
 */
export async function judge(suite: Suite): Promise<Verdict> {
  const known = knownFailing(suite.name);
  const began = performance.now();
  let passed = 0;
  let failed = 0;
  const report = (line: string) => {
    failed++;
    console.log(`  FAILED  ${line}`);
  };
  console.log(`\n${suite.name}`);
  let cases: readonly Case[] = [];
  try {
    cases = await suite.run();
    if (cases.length === 0) report("the suite ran no case");
  } catch (error) {
    report(`the suite could not be run: ${error instanceof Error ? error.message : String(error)}`);
  }
  for (const { name, ok, detail } of cases) {
    if (ok && known.has(name)) report(`${name}: passes now; take it out of known-failing/${suite.name}.txt`);
    else if (ok || known.has(name)) passed++;
    else report(detail === undefined ? name : `${name}: ${detail}`);
  }
  const seconds = Math.round((performance.now() - began) / 1_000);
  console.log(`  ${passed} passed, ${failed} failed, ${known.size} known to fail; ${seconds} s`);
  return { passed, failed };
}

function knownFailing(suite: string): ReadonlySet<string> {
  const file = join(import.meta.dirname, "known-failing", `${suite}.txt`);
  if (!existsSync(file)) return new Set();
  return new Set(
    readFileSync(file, "utf8")
      .split("\n")
      .map((line) => line.replace(/#.*/, "").trim())
      .filter((line) => line !== ""),
  );
}
