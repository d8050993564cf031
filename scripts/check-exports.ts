/**
 * Finds exports of src/ that nobody needs: functions and constants that no other file imports, types and classes that nothing mentions, and what
 * tests alone use. Files directly in src/ are the package's public entries: whatever they pass on is needed. Generated code is left out.
 */
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

/** Used by tests alone, and right so. */
const FOR_TESTS: Readonly<Record<string, string>> = {
  "src/core/block-pool.ts freeBlockBytes": "what tests look at",
  "src/drivers/static/static-registry.ts openStaticRegistry": "a driver without a switch in the command line",
  "src/policy/check/enforcement.ts isTabled": "holds the table complete",
};

const root = join(import.meta.dirname, "..");
const FROM = /^\s*(?:import|export)\s+(?:type\s+)?([^"';]*?)\s*from\s*"(\.[^"]+)"/gm;
const DYNAMIC = /\bimport\(\s*"(\.[^"]+)"/g;
const EXPORT = /^export\s+(?:async\s+|abstract\s+)?(function\*?|const|let|class|interface|type)\s+([A-Za-z_$][\w$]*)/gm;
const ALL = "*";

const files = globSync("{src,tests,scripts,bench,conformance,examples}/**/*.ts", {
  cwd: root,
  exclude: (name) => name === "node_modules" || name === "dist",
});
const texts = new Map(files.map((file) => [normalize(file), readFileSync(join(root, file), "utf8")]));
/** File and name -> who imports it. */
const importers = new Map<string, { code: number; tests: number }>();

for (const [file, text] of texts) {
  const kind = isTest(file) ? "tests" : "code";
  for (const [, names, target] of text.matchAll(FROM)) {
    const to = normalize(join(dirname(file), target));
    const list = names.startsWith("{") ? names.slice(1, names.lastIndexOf("}")).split(",") : [ALL];
    for (const name of list)
      count(
        to,
        name
          .trim()
          .replace(/^type\s+/, "")
          .split(/\s/, 1)[0],
        kind,
      );
  }
  for (const [, target] of text.matchAll(DYNAMIC)) count(normalize(join(dirname(file), target)), ALL, kind);
}

let wrong = 0;
for (const [file, text] of texts) {
  const parts = file.split("/");
  if (parts[0] !== "src" || parts.length < 3 || parts.includes("gen") || isTest(file)) continue;
  const all = importers.get(`${file} ${ALL}`);
  for (const [, kind, name] of text.matchAll(EXPORT)) {
    const { code = 0, tests = 0 } = importers.get(`${file} ${name}`) ?? {};
    if (code > 0 || (all !== undefined && all.code > 0)) continue;
    const own = text.match(new RegExp(`(?<![\\w$])${name.replaceAll("$", "\\$")}(?![\\w$])`, "g"))?.length ?? 0;
    const type = kind === "interface" || kind === "type" || kind === "class";
    if (tests === 0 && all === undefined) {
      if (!type) report(file, `${name} is imported by nobody: ${own > 1 ? "do not export it" : "delete it"}`);
      else if (own === 1) report(file, `${name} is mentioned nowhere: delete it`);
    } else if (own === 1 && FOR_TESTS[`${file} ${name}`] === undefined) {
      report(file, `${name} is used by tests alone: delete it, or say why in scripts/check-exports.ts`);
    }
  }
}
for (const key of Object.keys(FOR_TESTS)) {
  const [file] = key.split(" ");
  if (!existsSync(join(root, file))) report("scripts/check-exports.ts", `${file}, which it excuses, is not there`);
}
process.exitCode = wrong === 0 ? 0 : 1;

/** Benches and scripts are code that somebody runs; tests are not what anything is for. */
function isTest(file: string): boolean {
  return file.startsWith("tests/") || /\.(?:test|case)\.ts$/.test(file);
}

function count(file: string, name: string, kind: "code" | "tests"): void {
  if (name === "") return;
  const key = `${file} ${name}`;
  const seen = importers.get(key) ?? { code: 0, tests: 0 };
  seen[kind]++;
  importers.set(key, seen);
}

function report(file: string, message: string): void {
  wrong++;
  console.error(`${file}: ${message}`);
}
