import { spawn } from "node:child_process";
import { join } from "node:path";
import type { Case } from "./suite.ts";

/** Runs conformance/FOLDER/NAME.test.ts, all at once, as the cases of a suite. */
export async function testFiles(folder: string, names: readonly string[]): Promise<Case[]> {
  const files = names.map((name) => join(import.meta.dirname, folder, `${name}.test.ts`));
  return (await Promise.all(files.map(cases))).flat();
}

/** Runs a file of tests; what they measure is printed. */
function cases(file: string): Promise<Case[]> {
  // A case that fails may leave a server behind, which is not to be waited for.
  const node = ["-C", "weft-source", "--test", "--test-force-exit", "--test-reporter=tap", file];
  const child = spawn(process.execPath, node, { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    output += text;
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", () => {
      for (const [, measured] of output.matchAll(/^# measured (.*)$/gm)) console.log(`  ${measured}`);
      const verdicts = /^(not ok|ok) \d+ - (.*)\n {2}---\n {2}duration_ms: ([\d.]+)([\s\S]*?)^ {2}\.\.\.$/gm;
      resolve(
        Array.from(output.matchAll(verdicts), ([, verdict, name, ms, more]) => {
          console.log(`  ${verdict === "ok" ? "" : "NOT "}${name} (${Math.round(Number(ms))} ms)`);
          if (verdict === "ok") return { name, ok: true };
          const why = /^ {2}error: (?:\|-\n)?([\s\S]*?)^ {2}code:/m.exec(more)?.[1] ?? "";
          return { name, ok: false, detail: why.replace(/\s+/g, " ").trim() };
        }),
      );
    });
  });
}
