/** Writes schema/weft.schema.json, which `weft schema` prints: node -C weft-source scripts/schema.ts [--check] */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { schemaText } from "../src/cli/commands/schema.ts";

const { values } = parseArgs({ options: { check: { type: "boolean", default: false } } });
const file = join(import.meta.dirname, "..", "schema", "weft.schema.json");
const text = schemaText();
const current = existsSync(file) && readFileSync(file, "utf8") === text;
if (values.check && !current) {
  console.error("schema/weft.schema.json is not up to date; run: npm run schema");
  process.exitCode = 1;
} else if (!current) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}
