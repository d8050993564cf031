import assert from "node:assert/strict";
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";
import { format } from "node:util";
import { readResourceDocuments } from "../src/policy/resource/read-resource-documents.ts";
import { parseResources } from "../src/policy/resource/validate.ts";

/**
 * Every page of docs/policies/ (and docs/testing.md, docs/settings.md) says what is true: a ts block that is directly followed by a text block is run as a module (in this
 * process, beside its page) and prints exactly that; yaml blocks are valid resources; a page that describes a policy has its defaults, metrics, and an
 * explanation that was run. UPDATE_DOCS=1 writes what the blocks print into their pages: read the difference before it is kept.
 */

const root = join(import.meta.dirname, "..");
const folder = join(root, "docs", "policies");
/** Pages that describe a tool or an idea in place of a policy. */
const NO_POLICY = new Set([
  "README.md",
  "check.md",
  "conditions.md",
  "explain.md",
  "replay.md",
  "../testing.md",
  "../settings.md",
]);

const UPDATE = process.env.UPDATE_DOCS === "1";

interface Block {
  readonly language: string;
  readonly text: string;
  readonly line: number;
  /** Nothing but blank lines between the block before and this one. */
  readonly follows: boolean;
}

const modules = new Map<string, string>();
registerHooks({
  resolve: (specifier, context, next) =>
    modules.has(specifier) ? { url: specifier, shortCircuit: true } : next(specifier, context),
  load: (url, context, next) => {
    const source = modules.get(url);
    return source === undefined ? next(url, context) : { format: "module-typescript", source, shortCircuit: true };
  },
});

for (const name of [...globSync("**/*.md", { cwd: folder }).sort(), "../testing.md", "../settings.md"]) {
  const page = readFileSync(join(folder, name), "utf8");
  const blocks = blocksOf(page);
  const updates: { block: Block; text: string }[] = [];
  after(() => {
    const lines = page.split("\n");
    for (const { block, text } of updates.toReversed())
      lines.splice(block.line, block.text.split("\n").length, ...text.split("\n"));
    if (lines.join("\n") !== page && UPDATE) writeFileSync(join(folder, name), lines.join("\n"));
  });

  if (!NO_POLICY.has(name)) {
    test(`docs/policies/${name} has its defaults, its metrics, and an explanation that was run`, () => {
      assert.match(
        page,
        /^\|[^\n]*\bdefaults?\b[^\n]*\|\s*\n\|[\s:|-]+\|/im,
        "no table of fields with a column of defaults",
      );
      assert.match(page, /^#+ Metrics\b/m, "no section Metrics");
      const why = /^#+ Asking why\b/m.exec(page);
      assert.ok(why, "no section Asking why");
      const from = page.slice(0, why.index).split("\n").length;
      const pairs = blocks.filter((block, i) => block.line > from && isOutput(blocks, i));
      assert.ok(pairs.length > 0, "Asking why has no ts block that is directly followed by a text block");
    });
  }

  blocks.forEach((block, i) => {
    if (block.language === "yaml") {
      test(`docs/policies/${name}:${block.line} is valid`, () => {
        const { resources } = parseResources(readResourceDocuments(block.text, name));
        assert.ok(resources.length > 0, "no resource");
      });
    }
    if (!isOutput(blocks, i)) return;
    const example = blocks[i - 1];
    test(`docs/policies/${name}:${example.line} prints what it says`, async () => {
      const printed = await run(`${name}.${example.line}.ts`, example);
      if (UPDATE) updates.push({ block, text: trimmed(printed) });
      else assert.equal(trimmed(printed), trimmed(block.text));
    });
  });
}

function isOutput(blocks: readonly Block[], i: number): boolean {
  return blocks[i].language === "text" && blocks[i].follows && blocks[i - 1].language === "ts";
}

/** Runs a block as a module that lies beside its page, and gives what it printed. */
async function run(file: string, { text, line }: Block): Promise<string> {
  const url = pathToFileURL(join(folder, file)).href;
  modules.set(url, `${"\n".repeat(line)}${text}`);
  const lines: string[] = [];
  const { log } = console;
  console.log = (...values) => void lines.push(format(...values));
  try {
    await import(url);
  } finally {
    console.log = log;
  }
  return lines.join("\n");
}

function blocksOf(page: string): Block[] {
  const lines = page.split("\n");
  const blocks: Block[] = [];
  let between = "";
  for (let i = 0; i < lines.length; i++) {
    const fence = /^(`{3,})(\w*)/.exec(lines[i]);
    if (fence === null) {
      between += lines[i].trim();
      continue;
    }
    const end = lines.indexOf(fence[1], i + 1);
    assert.ok(end > 0, `the block of line ${i + 1} has no end`);
    const text = lines.slice(i + 1, end).join("\n");
    blocks.push({ language: fence[2], text, line: i + 1, follows: blocks.length > 0 && between === "" });
    between = "";
    i = end;
  }
  return blocks;
}

/** Spaces at the end of lines, and empty lines at the end, are nothing that a page shows. */
function trimmed(text: string): string {
  return text.replace(/[ \t]+$/gm, "").trimEnd();
}
