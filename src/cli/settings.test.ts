import assert from "node:assert/strict";
import * as childProcess from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { promisify } from "node:util";
import { type ControlPlane, startControlPlane } from "../control/control-plane.ts";
import { createMemoryRegistry } from "../drivers/memory/memory-registry.ts";
import { createRuntime } from "../service/runtime.ts";
import { settings } from "../service/settings/settings.ts";
import type { StandardSchema } from "../service/settings/standard-schema.ts";
import { weft } from "./weft.case.ts";

const execFile = promisify(childProcess.execFile);
const folder = mkdtempSync(join(tmpdir(), "weft-settings-test-"));
const environment = { ...process.env };
let plane: ControlPlane | null = null;
beforeEach(async () => {
  await plane?.stop();
  plane = await startControlPlane({ registry: createMemoryRegistry() });
  process.env = { ...environment, WEFT_CONTROL: plane.address };
});
after(async () => {
  process.env = environment;
  await plane?.stop();
  rmSync(folder, { recursive: true });
});

/** Prints what it printed, and asserts its exit status. */
async function said(line: string, status = 0): Promise<string> {
  const ended = await weft("settings", ...(line.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replaceAll("'", "")));
  assert.equal(ended.status, status, ended.stderr || ended.stdout);
  return ended.stdout + ended.stderr;
}

test("values are set, shown, compared, and taken away", async () => {
  assert.equal(await said("get"), "nothing is set, and nobody uses settings\n");
  assert.match(
    await said("set orders maxItems=5 mode=fast hosts='[\"a\"]' --author ada -m why"),
    /^published revision 1; in force at 0 of 0/,
  );
  assert.equal(await said("get orders/hosts"), '["a"]\n');
  assert.equal(await said("get orders/mode"), '"fast"\n');
  const shown = await said("get orders");
  assert.match(shown, /^KEY +VALUE +REVISION +BY +AT\nhosts +\["a"\] +1 +ada +20/);
  assert.match(await said("get"), /^NAMESPACE +KEYS.*\norders +3 /);
  assert.match(await said("set orders maxItems=5"), /^revision 1 says the same; nothing was published/);
  assert.match(await said("set orders maxItems=6 --if maxItems=1 --dry-run"), /nothing was published/);
  await said("set orders maxItems=6 --if maxItems=1 --author eve");
  assert.match(
    await said("set orders maxItems=7 --if maxItems=1", 1),
    /orders\/maxItems was changed by eve at .*\[STALE_SETTING\]|\[STALE_SETTING\]/s,
  );
  assert.match(await said("set orders maxItems=7 --if-revision 1", 1), /revision 1 is not the current one/);
  assert.match(await said("unset orders maxItms", 1), /did you mean "maxItems"/);
  await said("unset orders hosts");
  assert.match(await said("get orders/hosts", 1), /orders has no key "hosts"/);
  assert.match(await said("get ordrs", 1), /there is no namespace "ordrs".*did you mean "orders"/);
  assert.match(await said("set orders 'x={\"a\"'", 2), /begins like JSON and is none/);
  const { revision, author } = JSON.parse(await said("set orders a=1 --json --author bob"));
  assert.deepEqual([revision, author], [4, "bob"]);
  assert.deepEqual(Object.keys(JSON.parse(await said("get --json")).namespaces.orders.values), [
    "a",
    "maxItems",
    "mode",
  ]);
});

test("history, diff and roll-back of one namespace", async () => {
  await said("set orders maxItems=1 mode=fast --author ada -m first");
  await said("set payments currency=EUR");
  await said("set orders maxItems=2 extra=1 --author eve -m second");
  await said("gray begin orders maxItems=9 --zone eu");
  assert.match(
    await said("history orders"),
    /^4 .*gray release g-4 of settings orders.*\n3 .*eve +settings orders\/extra, settings orders\/maxItems +second\n1 .*first\n$/,
  );
  assert.match(await said("history orders/maxItems"), /^3 .* {2}eve {2}2 {2}second\n1 .* {2}ada {2}1 {2}first\n$/);
  assert.equal(await said("diff 1..3 orders"), "+ orders/extra: 1\n- orders/maxItems: 1\n+ orders/maxItems: 2\n");
  assert.equal(await said("diff 3"), await said("diff 2..3"), "what it changed, as of weft diff");
  assert.match(await said("diff 1"), /^\+ orders\/maxItems: 1\n/);
  assert.equal(await said("diff 3.."), await said("diff 3..4"));
  assert.equal(await said("diff 3..3"), "settings are the same at 3 and 3\n");
  assert.match(await said("rollback 1 orders"), /^published revision 5.*ends gray release g-4\n$/s);
  assert.equal(await said("diff 1..5 orders"), "settings are the same at 1 and 5\n");
  assert.equal(await said("get payments/currency"), '"EUR"\n');
  assert.match(await said("rollback 1 orders"), /is as it was at revision 1 already/);
  assert.match(await said("rollback 99 orders", 1), /there is no revision 99/);
});

test("gray releases are begun, widened, listed, promoted and ended", async () => {
  await said("set orders maxItems=1");
  const runtime = createRuntime({
    env: {},
    control: plane?.address ?? "",
    service: "orders",
    instance: "orders-1",
    zone: "eu",
  });
  try {
    const values = await settings<{ maxItems: number }>({}, { runtime });
    assert.match(
      await said("gray begin orders maxItems=2 --zone eu"),
      /^published revision 2; in force at 1 of 1 process that use/,
    );
    assert.equal(values.maxItems, 2);
    assert.match(
      await said("gray ls"),
      /^orders g-2: zone eu: maxItems=2\n {2}by .*\n {2}1 of 1 processes have it: orders-1\//,
    );
    assert.match(await said("get orders"), /gray g-2: zone eu: maxItems=2\norders-1\/\S+ {2}has revision 2 with g-2\n/);
    assert.match(
      await said("set orders maxItems=3"),
      /warning {2}orders\/maxItems: those who have gray release g-2 go on with its value/,
    );
    await said("gray widen orders g-2 --percent 0");
    assert.equal(values.maxItems, 3);
    assert.match(await said("gray promote orders g-9", 1), /gray release g-9: there is none; those under way: g-2/);
    await said("gray promote orders g-2");
    assert.equal(values.maxItems, 2);
    assert.equal(await said("gray ls orders"), "no gray release is under way\n");
    assert.match(await said("gray begin orders maxItems=2", 2), /say to whom/);
    await said("gray begin orders maxItems=4 --tag canary blue --label team=shop");
    assert.match(
      await said("gray ls"),
      /^orders g-\d+: tag canary and blue, team=shop: maxItems=4\n.*\n {2}0 of 1 processes/,
    );
  } finally {
    await runtime.close();
  }
});

test("a change that a process refuses is shown: where, why, and what stays there", async () => {
  await said("set orders maxItems=1");
  const runtime = createRuntime({ env: {}, control: plane?.address ?? "", service: "orders", instance: "orders-1" });
  // It cannot say by a schema what it refuses.
  const strict: StandardSchema<{ maxItems: number }> = {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: (value) =>
        (value as { maxItems: number }).maxItems > 5
          ? { issues: [{ message: "too many", path: ["maxItems"] }] }
          : { value: value as { maxItems: number } },
    },
  };
  const silent = console.error;
  console.error = () => {};
  try {
    const values = await settings(strict, { runtime });
    assert.match(
      await said("set orders maxItems=9", 1),
      /^refused {2}orders-1\/\S+ {2}orders: maxItems: too many\npublished revision 2; in force at 0 of 1 process that uses it\n$/,
    );
    assert.equal(values.maxItems, 1);
    assert.match(await said("get orders"), /orders-1\/\S+ {2}refuses revision 2, 1 stays: maxItems: too many\n/);
    assert.match(await said("get"), /\norders +1 .*1, 1 refuse them\n/);
    await said("set orders maxItems=3");
    assert.match(await said("get orders"), /orders-1\/\S+ {2}has revision 3\n/);
  } finally {
    console.error = silent;
    await runtime.close();
  }
});

test("values are sealed here, revealed here, and sealed anew by another key", async () => {
  assert.match(await said("set orders apiKey=secret --seal", 1), /--seal needs keys/);
  const [k1, k2] = [(await said("keys new k1")).trim(), (await said("keys new k2")).trim()];
  process.env.WEFT_SETTINGS_KEYS = k1;
  await said("set orders apiKey=secret --seal");
  await said("gray begin orders apiKey=other --seal --zone eu");
  assert.match(await said("get orders/apiKey"), /^\{"\$sealed":"k1\./);
  assert.match(await said("get orders"), /apiKey +\(sealed by k1\)/);
  assert.equal(await said("get orders/apiKey --reveal"), '"secret"\n');
  process.env.WEFT_SETTINGS_KEYS = `${k2},${k1}`;
  assert.match(await said("reseal"), /^published revision 3/);
  assert.match(await said("reseal"), /all 2 sealed values are sealed by k2 already/);
  process.env.WEFT_SETTINGS_KEYS = k2;
  assert.equal(await said("get orders/apiKey --reveal"), '"secret"\n');
  assert.match(await said("get orders --json --reveal"), /"apiKey": "other"/);
});

test("a schema is set from a file, and holds", async () => {
  const file = join(folder, "schema.yaml");
  writeFileSync(file, "properties: { maxItems: { type: integer, maximum: 10 } }\n");
  await said(`schema set orders ${file}`);
  assert.match(await said("schema get orders"), /"maximum": 10/);
  assert.match(await said("set orders maxItems=11", 1), /orders\/maxItems: 11 is greater than 10/);
  assert.match(await said("set orders maxItems=many", 1), /orders\/maxItems: must be integer, not string/);
  writeFileSync(file, "properties: { maxItems: { type: nubmer } }\n");
  assert.match(await said(`schema set orders ${file}`, 1), /schema.properties.maxItems.type: it must be one of/);
  assert.match(
    await said("schema set orders --message orders.v1.Nothing", 1),
    /no service registers a contract with the message/,
  );
  await said("schema rm orders");
  await said("set orders maxItems=11");
});

function editor(script: string): void {
  const file = join(folder, "editor.sh");
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  process.env.VISUAL = file;
}

test("values are edited as YAML; what could not be published is kept", async () => {
  await said("set orders maxItems=5 mode=fast");
  editor('sed -i -e "s/maxItems: 5/maxItems: 6/" -e "/^mode/d" "$1"; echo "hosts: [a, b]" >> "$1"');
  await said("edit orders");
  assert.equal(
    await said("diff 1..2"),
    '+ orders/hosts: ["a","b"]\n- orders/maxItems: 5\n+ orders/maxItems: 6\n- orders/mode: "fast"\n',
  );
  editor("true");
  assert.equal(await said("edit orders"), "nothing was changed\n");
  assert.deepEqual(JSON.parse(await said("edit orders --json")), { revision: 2, changed: false });
  const kept = async (script: string, reason: RegExp): Promise<string> => {
    editor(script);
    const out = await said("edit orders", 1);
    assert.match(out, reason);
    const [, file = ""] = /what you wrote is in (\S+)/.exec(out) ?? [];
    const text = readFileSync(file, "utf8");
    rmSync(join(file, ".."), { recursive: true });
    return text;
  };
  assert.match(await kept('echo "a: [" > "$1"', /this is no YAML/), /a: \[/);
  assert.match(await kept('echo "9lives: 1" > "$1"', /orders\/9lives: a key is/), /9lives/);
  // Somebody else is faster.
  const main = join(import.meta.dirname, "main.ts");
  const other = `${process.execPath} -C weft-source ${main} settings set orders maxItems=8 --author eve >/dev/null`;
  assert.match(await kept(`${other}; sed -i "s/maxItems: 6/maxItems: 7/" "$1"`, /was changed by eve/), /maxItems: 7/);
  editor("exit 3");
  assert.match(await said("edit orders", 1), /failed: it ended with 3; set EDITOR/);
});

test("without an editor and without a terminal nothing waits for one", async (t) => {
  const { isTTY } = process.stdin;
  process.stdin.isTTY = false;
  t.after(() => {
    process.stdin.isTTY = isTTY;
  });
  delete process.env.VISUAL;
  delete process.env.EDITOR;
  assert.match(await said("edit orders", 1), /there is no terminal for an editor; set EDITOR.*\[NO_EDITOR\]/);
});

test("a tag stands wherever a revision does", async () => {
  await said("set orders maxItems=5");
  await said("set orders maxItems=6");
  assert.equal((await weft("tag", "good", "1")).status, 0);
  assert.equal(await said("diff good.."), "- orders/maxItems: 5\n+ orders/maxItems: 6\n");
  assert.equal(await said("diff good"), "+ orders/maxItems: 5\n");
  assert.equal(await said("get orders/maxItems --revision good"), "5\n");
  assert.match(await said("rollback good orders"), /^published revision 3/);
  assert.equal(await said("get orders/maxItems"), "5\n");
  assert.match(await said("rollback bad orders", 1), /no revision has the tag "bad"; tags: good/);
});

test("times are this machine's, as those of weft history", async () => {
  const { publishedMs } = JSON.parse(await said("set orders maxItems=5 --json"));
  const ahead = new Date(publishedMs + 14 * 3_600_000).toISOString().slice(0, 16).replace("T", " ");
  const main = join(import.meta.dirname, "main.ts");
  const env = { ...process.env, TZ: "Pacific/Kiritimati" };
  for (const args of [["settings", "get", "orders"], ["settings", "history", "orders"], ["history"]]) {
    const { stdout } = await execFile(process.execPath, ["-C", "weft-source", main, ...args], { env });
    assert.ok(stdout.includes(ahead), `${args.join(" ")}: ${stdout}`);
  }
});

test("what a publication prints as JSON is what came of it, and not all that is in force", async () => {
  const made = JSON.parse(await said("set orders maxItems=5 --json --author ada -m why"));
  assert.deepEqual(
    { ...made, publishedMs: 0 },
    {
      revision: 1,
      changed: true,
      author: "ada",
      reason: "why",
      publishedMs: 0,
      changes: ["settings orders/maxItems"],
      warnings: [],
      delivery: { planes: 0, applied: 0, refused: [], waiting: [] },
    },
  );
  assert.equal(JSON.parse(await said("set orders maxItems=5 --json")).changed, false);
  assert.equal(JSON.parse(await said("set orders maxItems=6 --json --dry-run")).changed, false);
});
