/**
 * Holds the direction of imports between the folders of src/: each may import core, itself, and what the table below lists.
 * Files directly in src/ are the package's public entries and may import every folder.
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
  drivers: ["registry", "settings", "call", "contract", "policy"],
  service: ["contract", "call", "link", "telemetry", "registry", "net", "wire", "policy"],
  proxy: ["call", "contract", "link", "net", "policy", "wire", "telemetry", "service"],
  control: ["call", "service", "policy", "registry", "settings", "telemetry", "contract"],
  testing: ["policy", "call", "service", "contract"],
  saga: ["service", "telemetry"],
  events: ["service", "telemetry"],
  store: ["service", "telemetry"],
  release: ["link", "telemetry", "policy"],
  host: ["link", "telemetry", "policy"],
  cli: ["*"],
};

const root = join(import.meta.dirname, "..");
const IMPORT = /^\s*(?:import|export)\b[^"';]*?from\s*"([^"]+)"|^\s*import\s*"([^"]+)"|\bimport\(\s*"([^"]+)"/gm;
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
    // Tests use the contracts of tests/ and the examples.
    if (to[0] !== "src" && to.includes("gen") && /\.(?:test|case)\.ts$/.test(file)) continue;
    if (to[0] !== "src") report(file, `imports ${target}, which lies outside src/`);
    else if (to.length < 3) report(file, `imports the entry ${target}: import the folder's own file`);
    else if (other !== folder && other !== "core" && !allowed.includes("*") && !allowed.includes(other))
      report(file, `${folder} must not import ${other} (${target}); allowed: ${["core", ...allowed].join(", ")}`);
  }
}
if (seen === 0) report("src", "no sources were found");
process.exitCode = wrong === 0 ? 0 : 1;

function report(file: string, message: string): void {
  wrong++;
  console.error(`${file}: ${message}`);
}
