import { spawn } from "node:child_process";
import { join } from "node:path";
import type { Case, Suite } from "./suite.ts";

/** Endpoints in a real etcd: the contract of registries, and what holds when etcd is killed, stopped, slowed, emptied or cut off. */
export const etcd: Suite = {
  name: "etcd",
  async run() {
    const files = ["contract", "faults", "security", "control-planes"].map((name) =>
      join(import.meta.dirname, "etcd", `${name}.test.ts`),
    );
    return (await Promise.all(files.map(cases))).flat();
  },
};

/** Runs a file of tests; what they measure is printed. */
function cases(file: string): Promise<Case[]> {
  const node = ["-C", "weft-source", "--test", "--test-reporter=tap", file];
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
