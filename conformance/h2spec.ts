import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { withCounter } from "./counter.ts";
import type { Case, Suite } from "./suite.ts";
import { tool } from "./tools.ts";

/** Cases of h2spec 2.2.1 with --strict. */
const ALL = 145;

/** Every case of h2spec, strict, against examples/counter. A skipped case counts as failed. */
export const h2spec: Suite = {
  name: "h2spec",
  tools: ["h2spec"],
  run: () =>
    withCounter(async (port) => {
      const report = join(mkdtempSync(join(tmpdir(), "weft-h2spec-")), "report.xml");
      const program = tool("h2spec");
      await new Promise<void>((resolve) => {
        execFile(
          program,
          ["-h", "127.0.0.1", "-p", `${port}`, "-P", "/counter", "--strict", "-o", "2", "-j", report],
          { timeout: 300_000 },
          () => resolve(),
        );
      });
      const cases = parse(readFileSync(report, "utf8"));
      return cases.length >= ALL
        ? cases
        : [...cases, { name: `all ${ALL} cases ran`, ok: false, detail: `${cases.length} did` }];
    }),
};

function parse(junit: string): Case[] {
  const cases: Case[] = [];
  for (const [, attributes, body] of junit.matchAll(/<testcase ([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)) {
    const attribute = (name: string) => new RegExp(`${name}="([^"]*)"`).exec(attributes)?.[1] ?? "";
    const ok = body === undefined || !/<(failure|error|skipped)/.test(body);
    cases.push({
      name: `${attribute("package")}: ${attribute("classname")}`,
      ok,
      detail: body?.replace(/<[^>]+>/g, " ").trim(),
    });
  }
  return cases;
}
