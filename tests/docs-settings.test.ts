import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { weft } from "../src/cli/weft.case.ts";
import { type ControlPlane, startControlPlane } from "../src/control/control-plane.ts";
import { createMemoryRegistry } from "../src/drivers/memory/memory-registry.ts";

/** Commands of docs/settings.md print what the page says, one after the other, at one control plane; but for the time. (Its examples in TypeScript are run by docs-policies.test.ts.) */

const page = readFileSync(join(import.meta.dirname, "..", "docs", "settings.md"), "utf8");
const environment = { ...process.env };
let plane: ControlPlane;
before(async () => {
  plane = await startControlPlane({ registry: createMemoryRegistry() });
  process.env = { ...environment, WEFT_CONTROL: plane.address };
});
after(async () => {
  process.env = environment;
  await plane.stop();
});

for (const [, command, expected] of page.matchAll(/^```text\n\$ weft ([^\n]+)\n(.*?)^```$/gms)) {
  test(`docs/settings.md: weft ${command}`, async () => {
    const words = (command.match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replaceAll('"', ""));
    const { stdout, stderr } = await weft(...words);
    assert.equal(timeless(stdout + stderr), timeless(expected));
  });
}

function timeless(text: string): string {
  return text.replace(/20\d\d-\d\d-\d\d([ T])\d\d:\d\d(?::\d\d\.\d{3}Z)?/g, "DATE$1TIME");
}
