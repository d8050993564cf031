import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { test } from "node:test";

/** Relative links of the README and the docs lead to files that are there, and their anchors to headings; every page of docs/ can be reached. */

const root = join(import.meta.dirname, "..");
const pages = [...globSync("*.md", { cwd: root }), ...globSync("docs/**/*.md", { cwd: root })].sort();
const linked = new Set<string>();

for (const page of pages) {
  test(`the links of ${page} lead somewhere`, () => {
    const dead: string[] = [];
    for (const link of linksOf(readFileSync(join(root, page), "utf8"))) {
      if (/^[a-z]+:/.test(link)) continue;
      const [path, anchor] = link.split("#");
      const target = path === "" ? join(root, page) : resolve(root, dirname(page), path);
      linked.add(relative(root, target));
      if (!existsSync(target)) dead.push(link);
      else if (anchor !== undefined && !(statSync(target).isFile() && anchorsOf(target).has(anchor))) dead.push(link);
    }
    assert.deepEqual(dead, []);
  });
}

test("every page of docs/ is linked from another", () => {
  assert.deepEqual(
    pages.filter((page) => page.startsWith("docs/") && !linked.has(page)),
    [],
  );
});

/** Targets of [text](target), outside of code. */
function linksOf(markdown: string): string[] {
  const prose = markdown
    .replace(/^```.*?^```/gms, "")
    .replace(/^ {4}.*$/gm, "")
    .replace(/`[^`\n]*`/g, "");
  return Array.from(prose.matchAll(/\]\(([^)\s]+)\)/g), ([, target]) => target);
}

/** As GitHub makes them of headings. */
function anchorsOf(file: string): Set<string> {
  const headings = readFileSync(file, "utf8").matchAll(/^#+ +(.+)$/gm);
  return new Set(
    Array.from(headings, ([, text]) =>
      text
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, "")
        .replace(/ /g, "-"),
    ),
  );
}
