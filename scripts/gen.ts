/**
 * Generates (or with --check, compares) all generated code of this repository: node -C weft-source scripts/gen.ts [--check]
 * `weft gen` is the same for one project.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { generate } from "../src/cli/gen/generate.ts";

/** Folders with contracts. weft's own code cannot import the package that it is part of, so it names the runtime's file. */
const PROJECTS = [
  { roots: ["proto"], out: "src/contract/gen", runtime: "../runtime.ts" },
  { roots: ["examples/counter/proto"], out: "examples/counter/gen" },
  { roots: ["examples/shop/proto"], out: "examples/shop/gen" },
  { roots: ["conformance/proto"], out: "conformance/gen" },
  { roots: ["bench/proto"], out: "bench/gen" },
  { roots: ["tests/proto"], out: "tests/gen" },
];

const { values } = parseArgs({ options: { check: { type: "boolean", default: false } } });
const cwd = join(import.meta.dirname, "..");
let failed = false;
for (const project of PROJECTS) {
  if (!existsSync(join(cwd, project.roots[0]))) continue;
  try {
    const { files, written, removed } = await generate({ ...project, cwd, check: values.check });
    console.log(`${project.out}: ${files.length} files, ${written.length} written, ${removed.length} removed`);
  } catch (thrown) {
    failed = true;
    console.error(thrown instanceof Error ? thrown.message : thrown);
  }
}
if (failed) process.exitCode = 1;
