import assert from "node:assert/strict";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { runWeft } from "../src/cli/program.ts";
import { PLAIN } from "../src/cli/terminal.ts";

/**
 * Commands in docs/policies/ print what the page says: a text block that begins with "$ weft ..." is run in a folder where the yaml block before it is
 * policy.yaml.
 */

const root = join(import.meta.dirname, "..");
const folder = mkdtempSync(join(tmpdir(), "weft-docs-"));
const before = process.cwd();
after(() => {
  process.chdir(before);
  rmSync(folder, { recursive: true });
});

for (const name of globSync("docs/policies/*.md", { cwd: root }).sort()) {
  let yaml = "";
  for (const [, language, text] of readFileSync(join(root, name), "utf8").matchAll(/^```(\w+)\n(.*?)^```$/gms)) {
    if (language === "yaml") yaml = text;
    const command = /^\$ weft ([^\n]+)\n(.*)$/s.exec(text);
    if (language !== "text" || command === null) continue;
    const policy = yaml;
    test(`${name}: weft ${command[1]}`, async () => {
      process.chdir(folder);
      writeFileSync("policy.yaml", policy);
      let printed = "";
      await runWeft(command[1].split(" "), {
        out: (part) => void (printed += part),
        err: (part) => void (printed += part),
        interactive: false,
        color: PLAIN,
        errColor: PLAIN,
        columns: 80,
        rows: 24,
      });
      assert.equal(printed.trimEnd(), command[2].trimEnd());
    });
  }
}
