import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { toJson } from "@bufbuild/protobuf";
import { createDirectClient, type DirectClient } from "../src/call/direct.ts";
import { weft } from "../src/cli/weft.case.ts";
import { Admin } from "../src/contract/gen/weft/control/v1/control.ts";
import {
  type PublishSettingsRequestSchema,
  SettingChangeSchema,
} from "../src/contract/gen/weft/control/v1/settings.ts";
import { create, type MessageInitShape } from "../src/contract/runtime.ts";
import { type ControlPlane, startControlPlane } from "../src/control/control-plane.ts";
import { WeftError } from "../src/core/errors.ts";
import { createMemoryRegistry } from "../src/drivers/memory/memory-registry.ts";

/** What is malformed, over a limit, against a schema, or stale is refused by every way into the configuration centre: with its place, and nothing changed. */

let plane: ControlPlane;
let admin: DirectClient<typeof Admin>;
before(async () => {
  plane = await startControlPlane({ registry: createMemoryRegistry() });
  admin = createDirectClient(Admin, plane.address);
  const schema = {
    type: "object",
    properties: { maxItems: { type: "integer", maximum: 10 }, mode: { enum: ["fast", "safe"] } },
    additionalProperties: false,
  };
  const changes: Change[] = [
    set("maxItems", "5"),
    { namespace: "orders", change: { case: "schema", value: { jsonSchema: JSON.stringify(schema) } } },
  ];
  await admin.client.publishSettings({ changes, author: "ada" });
  await admin.client.publishSettings({ changes: [set("maxItems", "6")], author: "bob" });
  await admin.client.publishSettings({ changes: [{ ...set("a", "1"), namespace: "free" }], author: "ada" });
});
after(async () => {
  await admin.close();
  await plane.stop();
});

type Request = MessageInitShape<typeof PublishSettingsRequestSchema>;
type Change = MessageInitShape<typeof SettingChangeSchema>;

function set(key: string, json: string, expectedRevision?: number, namespace = "orders"): Change {
  const expected = expectedRevision === undefined ? {} : { expectedRevision: BigInt(expectedRevision) };
  return { namespace, change: { case: "set", value: { key, json, ...expected } } };
}

const gray = (value: object): Change =>
  ({ namespace: "free", change: { case: "beginGray", value: { values: { a: "2" }, ...value } } }) as Change;

/** Tries to publish; answers the error's text, or "" when it was published. Null: it cannot be asked so. */
type Way = (request: Request) => Promise<string | null>;

const ways: Record<string, Way> = {
  gRPC: (request) =>
    admin.client.publishSettings(request).then(
      () => "",
      (thrown: unknown) => {
        assert.ok(thrown instanceof WeftError, String(thrown));
        return `${thrown.code} ${thrown.reason} ${thrown.message}`;
      },
    ),

  async REST({ changes = [], expectedRevision }) {
    const answer = await fetch(`http://${plane.address}/v1/settings`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        changes: changes.map((change) => toJson(SettingChangeSchema, create(SettingChangeSchema, change))),
        ...(expectedRevision !== undefined && { expectedRevision: String(expectedRevision) }),
      }),
    });
    return answer.ok ? "" : `${answer.status} ${await answer.text()}`;
  },

  async "the command line"({ changes = [], expectedRevision }) {
    const [{ namespace = "" }] = changes;
    const args: string[] = [];
    for (const { change } of changes) {
      if (change?.case !== "set") return null;
      const { key = "", json = "", expectedRevision: before } = change.value;
      args.push(`${key}=${json}`, ...(before === undefined ? [] : ["--if", `${key}=${before}`]));
    }
    if (expectedRevision !== undefined) args.push("--if-revision", String(expectedRevision));
    const { status, stderr } = await weft("settings", "set", namespace, ...args, "--control", plane.address);
    return status === 0 ? "" : `${status} ${stderr}`;
  },
};

const deep = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
const many = (count: number) => Array.from({ length: count }, (_, i) => set(`k${i}`, "1", undefined, "free"));

const cases: readonly [what: string, request: Request, named: RegExp][] = [
  ["a namespace that is no DNS label", { changes: [set("a", "1", undefined, "Not_A_Name")] }, /Not_A_Name.*DNS label/],
  ["a namespace of 64 characters", { changes: [set("a", "1", undefined, "n".repeat(64))] }, /DNS label/],
  ["a key that begins with a digit", { changes: [set("9lives", "1")] }, /orders\/9lives.*a key is/],
  ["a key of 129 characters", { changes: [set("k".repeat(129), "1")] }, /a key is/],
  ["a key that is __proto__", { changes: [set("__proto__", "1", undefined, "free")] }, /__proto__.*a key is/],
  ["a value nested too deep", { changes: [set("a", deep(66), undefined, "free")] }, /free\/a: .*nested too deep/],
  [
    "a value over 64 KiB",
    { changes: [set("a", JSON.stringify("x".repeat(65_536)), undefined, "free")] },
    /free\/a: .*at most 65536/,
  ],
  ["what only looks sealed", { changes: [set("a", '{"$sealed":"x"}', undefined, "free")] }, /free\/a: .*sealed/],
  ["more keys than a namespace may have", { changes: many(1_000) }, /1001 keys/],
  ["more changes than a publication may have", { changes: many(1_001) }, /1,?001 changes/],
  ["a value of another type", { changes: [set("maxItems", '"many"')] }, /orders\/maxItems: must be integer/],
  ["a value above the schema's", { changes: [set("maxItems", "11")] }, /orders\/maxItems: 11 is greater than 10/],
  ["a key that the schema has not", { changes: [set("maxItms", "1")] }, /orders\/maxItms: .*did you mean .*maxItems/],
  ["one wrong change among right ones", { changes: [set("maxItems", "7"), set("mode", '"slow"')] }, /orders\/mode/],
  ["a stale revision of a key", { changes: [set("maxItems", "7", 1)] }, /STALE_SETTING/],
  ["a key that is there, taken for none", { changes: [set("maxItems", "7", 0)] }, /STALE_SETTING/],
  ["a key that is not there, taken for one", { changes: [set("mode", '"fast"', 2)] }, /STALE_SETTING/],
  ["a stale revision of all", { changes: [set("maxItems", "7")], expectedRevision: 2n }, /STALE_REVISION/],
  ["a revision that is still to come", { changes: [set("maxItems", "7")], expectedRevision: 9n }, /STALE_REVISION/],
  ["text that is no JSON", { changes: [set("a", "{", undefined, "free")] }, /free\/a.*no JSON|\ba: .*is none/],
  [
    "a key that is not there, to be taken away",
    { changes: [{ namespace: "orders", change: { case: "remove", value: { key: "maxItms" } } }] },
    /orders\/maxItms/,
  ],
  [
    "a schema that is none",
    { changes: [{ namespace: "free", change: { case: "schema", value: { jsonSchema: '{"type":"nubmer"}' } } }] },
    /free: .*schema/,
  ],
  [
    "a schema that what is there does not satisfy",
    { changes: [{ namespace: "free", change: { case: "schema", value: { jsonSchema: '{"maxProperties":0}' } } }] },
    /free/,
  ],
  ["a gray release for nobody", { changes: [gray({ to: {} })] }, /free: .*to whom/],
  ["a gray release for 101 percent", { changes: [gray({ to: { percent: 101 } })] }, /free: .*0 to 100/],
  ["a gray release for a tag without a name", { changes: [gray({ to: { tags: [""] } })] }, /free: .*tags are/],
  [
    "a gray release that the schema refuses",
    { changes: [{ ...gray({ values: { maxItems: "11" }, to: { percent: 1 } }), namespace: "orders" }] },
    /orders\/maxItems/,
  ],
  [
    "a gray release that is not under way",
    { changes: [{ namespace: "free", change: { case: "promoteGray", value: "g-99" } }] },
    /free: gray release g-99/,
  ],
  ["a change that says nothing", { changes: [{ namespace: "free" }] }, /free: what is to be changed/],
];

for (const [name, way] of Object.entries(ways)) {
  test(`${name} refuses what is wrong with settings, and nothing is changed`, async () => {
    const state = async () => {
      const { settings, revision } = await admin.client.getSettings({});
      const { revisions } = await admin.client.listRevisions({});
      return { settings, revision, revisions: revisions.length };
    };
    const untouched = await state();
    for (const [what, request, named] of cases) {
      const said = await way(request);
      if (said === null) continue;
      assert.match(said, named, `${what}: ${said.slice(0, 500) || "it was published"}`);
      assert.doesNotMatch(said, /bug in weft|internal/i, what);
      assert.deepEqual(await state(), untouched, what);
    }
    // And what is right is published: what was refused was so for what was wrong with it.
    const { revision } = await admin.client.getSettings({});
    const right = set("maxItems", String(Number(revision) % 9), Number(revision) === 3 ? 2 : Number(revision));
    assert.equal(await way({ changes: [right], expectedRevision: revision }), "");
  });
}
