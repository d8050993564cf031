/**
 * Holds the direction of imports between the folders of src/: each may import core, itself, and what the table below lists.
 * Files directly in src/ are the package's public entries and may import every folder.
 *
 * Within policy/ the same holds of its folders, for what is there when the code runs: types may be imported from anywhere. Files directly in policy/
 * may be imported by all of them.
 *
 * And no file imports one that imports it, directly or not, when the code runs.
 */
import { globSync, readFileSync } from "node:fs";
import { dirname, join, normalize, sep } from "node:path";

const ALLOWED: Record<string, readonly string[]> = {
  core: [],
  contract: [],
  wire: [],
  policy: [],
  telemetry: [],
  registry: [],
  settings: [],
  net: ["wire"],
  call: ["net", "policy", "wire", "telemetry", "contract"],
  link: ["call", "contract", "policy", "registry", "settings", "net"],
  drivers: ["registry", "settings", "net", "wire", "call", "contract", "policy", "link"], // a driver keeps a line of its own: back-off, outbox
  service: ["contract", "call", "link", "telemetry", "registry", "settings", "net", "wire", "policy"],
  proxy: ["call", "contract", "dns", "link", "net", "policy", "wire", "telemetry", "service"], // a sidecar answers names
  dns: ["net", "wire"],
  intercept: [],
  control: ["call", "net", "wire", "service", "policy", "registry", "settings", "telemetry", "contract"],
  testing: ["policy", "call", "service", "contract", "link", "settings"],
  saga: ["service", "telemetry"],
  events: ["service", "telemetry"],
  store: ["service", "telemetry"],
  release: ["link", "telemetry", "policy"],
  host: ["link", "telemetry", "policy", "settings"], // a description has first settings
  cli: ["*"],
};

const GATE = ["resource", "balance", "route", "decision", "machine"];
const RULES = ["resilience", "admission", "cache", "concurrency", "fault", "limit", "objective", "security"];
const POLICY: Record<string, readonly string[]> = {
  resource: [],
  balance: ["resource"],
  resilience: ["resource"],
  route: ["resource", "balance", "resilience"],
  decision: ["resource", "resilience", "route"],
  machine: ["resource", "balance", "resilience", "route", "decision"],
  admission: GATE,
  cache: GATE,
  concurrency: [...GATE, "admission"],
  fault: GATE,
  limit: GATE,
  objective: GATE,
  security: GATE,
  snapshot: [...GATE, ...RULES],
  check: [...GATE, ...RULES, "snapshot"],
  replay: [...GATE, ...RULES, "snapshot", "check"],
};
/** Lists of what several folders have: they put policy/ together, and may import all of it. */
const LISTS: ReadonlySet<string> = new Set([
  "src/policy/machine/gates.ts",
  "src/policy/resource/resource-shapes.ts",
  "src/policy/resource/route-builder.ts", // a route's `require` makes the Authentication and Authorization that say so
  "src/policy/resource/validate.ts",
  "src/policy/snapshot/create-runtime.ts",
]);

const root = join(import.meta.dirname, "..");
/** Not imports of types alone, which are gone when the code runs. */
const TYPES =
  /^\s*(?:import|export)\s+(?:type\b|\{\s*type\s+[\w$]+(?:\s+as\s+[\w$]+)?(?:\s*,\s*type\s+[\w$]+(?:\s+as\s+[\w$]+)?)*\s*,?\s*\})/;
const IMPORT = /^\s*(?:import|export)\b[^"';]*?from\s*"([^"]+)"|^\s*import\s*"([^"]+)"|\bimport\(\s*"([^"]+)"/gm;
/** File -> the files that it needs when it runs. */
const needs = new Map<string, string[]>();
let wrong = 0;
let seen = 0;

for (const file of globSync("src/**/*.ts", { cwd: root })) {
  const parts = file.split(sep);
  if (parts.length < 3) continue; // an entry
  seen++;
  const folder = parts[1];
  const allowed = ALLOWED[folder];
  if (allowed === undefined) {
    report(
      file,
      `src/${folder}/ is not in the table of scripts/check-imports.ts: add it with the folders that it may import`,
    );
    continue;
  }
  for (const match of readFileSync(join(root, file), "utf8").matchAll(IMPORT)) {
    const target = match[1] ?? match[2] ?? match[3];
    if (target === "weftmesh" || target.startsWith("weftmesh/")) {
      if (target === "weftmesh/contract" && parts.includes("gen")) continue; // generated code, as users have it
      report(file, `imports ${target}: inside src/ use a relative path`);
      continue;
    }
    if (!target.startsWith(".")) continue;
    const to = normalize(join(dirname(file), target)).split(sep);
    const other = to[1];
    if (match[3] === undefined && !TYPES.test(match[0])) needs.set(file, [...(needs.get(file) ?? []), to.join(sep)]);
    if (folder === "policy" && other === "policy" && to.length > 3 && !TYPES.test(match[0])) checkPolicy(parts, to);
    // Tests use the contracts of tests/ and the examples.
    if (to[0] !== "src" && to.includes("gen") && /\.(?:test|case)\.ts$/.test(file)) continue;
    if (to[0] !== "src") report(file, `imports ${target}, which lies outside src/`);
    else if (to.length < 3) report(file, `imports the entry ${target}: import the folder's own file`);
    else if (other !== folder && other !== "core" && !allowed.includes("*") && !allowed.includes(other))
      report(file, `${folder} must not import ${other} (${target}); allowed: ${["core", ...allowed].join(", ")}`);
  }
}
reportCycles();
if (seen === 0) report("src", "no sources were found");
process.exitCode = wrong === 0 ? 0 : 1;

function reportCycles(): void {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): void => {
    if (path.includes(file)) report(file, `imports itself by way of ${path.slice(path.indexOf(file) + 1).join(", ")}`);
    if (path.includes(file) || done.has(file)) return;
    path.push(file);
    for (const other of needs.get(file) ?? []) visit(other);
    path.pop();
    done.add(file);
  };
  for (const file of needs.keys()) visit(file);
}

function checkPolicy(from: readonly string[], to: readonly string[]): void {
  const file = from.join("/");
  const [, , folder] = from;
  if (from.length < 4 || folder === to[2] || LISTS.has(file) || /\.(?:test|case)\.ts$/.test(file)) return;
  const allowed = POLICY[folder];
  if (allowed === undefined) report(file, `src/policy/${folder}/ is not in the table of scripts/check-imports.ts`);
  else if (!allowed.includes(to[2]))
    report(file, `policy/${folder} must not import policy/${to[2]} (${to.slice(2).join("/")}); types it may`);
}

function report(file: string, message: string): void {
  wrong++;
  console.error(`${file}: ${message}`);
}
