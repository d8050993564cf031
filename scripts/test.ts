/**
 * `npm test`: the checks (types, lint, import directions, unused exports), then every *.test.ts, in processes of their own.
 * Arguments are paths or globs that narrow the tests: `npm test -- src/wire`. Ends with "N passed, N failed".
 */
import { spawnSync } from "node:child_process";
import { globSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";

const root = join(import.meta.dirname, "..");
const asked = process.argv.slice(2);
const failedChecks =
  asked.length === 0
    ? checks()
        .filter((check) => !check.ok)
        .map((check) => check.name)
    : [];

const files = (asked.length === 0 ? ["src", "tests", "examples", "docs", "conformance/*.test.ts"] : asked).flatMap(
  (path) =>
    statSync(join(root, path), { throwIfNoEntry: false })?.isDirectory()
      ? globSync(`${path}/**/*.test.ts`, { cwd: root, exclude: (name) => name.endsWith("node_modules") })
      : globSync(path, { cwd: root }),
);
if (files.length === 0) {
  console.error(`no tests in ${asked.join(" ")}`);
  process.exit(1);
}

let passed = 0;
let failed = 0;
const events = run({
  files: files.map((file) => join(root, file)).sort(),
  concurrency: Math.max(2, availableParallelism()),
  execArgv: ["--conditions=weft-source", "--no-warnings=ExperimentalWarning"],
  timeout: 300_000,
});
events.on("test:pass", (event) => {
  if (event.details.type !== "suite" && !isFile(event.name)) passed++;
});
events.on("test:fail", (event) => {
  if (event.details.type !== "suite") failed++;
});
events.compose(spec).pipe(process.stdout);
events.on("end", () => {
  if (failedChecks.length > 0) console.log(`failed checks: ${failedChecks.join(", ")}`);
  console.log(`${passed} passed, ${failed + failedChecks.length} failed`);
  process.exitCode = failed + failedChecks.length === 0 ? 0 : 1;
});

/** The runner reports a file as a test of its own; it is not one. */
function isFile(name: string): boolean {
  return name.endsWith(".test.ts");
}

function checks(): { name: string; ok: boolean }[] {
  const bin = (name: string) => join(root, "node_modules", ".bin", process.platform === "win32" ? `${name}.cmd` : name);
  return [
    check("types", bin("tsc"), ["-p", "tsconfig.json", "--noEmit"]),
    check("lint", bin("biome"), ["check", "."]),
    check("imports", process.execPath, [join(root, "scripts", "check-imports.ts")]),
    check("exports", process.execPath, [join(root, "scripts", "check-exports.ts")]),
  ];
}

function check(name: string, command: string, args: string[]): { name: string; ok: boolean } {
  const ok =
    spawnSync(command, args, { cwd: root, stdio: "inherit", shell: process.platform === "win32" }).status === 0;
  console.log(`${ok ? "ok" : "FAILED"}  ${name}`);
  return { name, ok };
}
