import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { HealthCheckRequestSchema } from "../../src/contract/gen/grpc/health/v1/health.ts";
import type { AttachRequestSchema } from "../../src/contract/gen/weft/control/v1/control.ts";
import type { MessageInitShape } from "../../src/contract/runtime.ts";
import { Outbox } from "../../src/link/outbox.ts";
import { settings, snapshotOf } from "../../src/service/settings/settings.ts";
import type { StandardSchema } from "../../src/service/settings/standard-schema.ts";
import { newSettingsKey, SettingsKeys } from "../../src/settings/sealed.ts";
import { closing, type Orders, process, rejection, set, use, world } from "./settings-world.ts";
import { eventually, registrationOf } from "./world.ts";

/** What is published in the configuration centre, what is refused, and who is told. */

test("a change that some consumer refuses is shown as not in force, where and why", async () => {
  const at = await world();
  const admin = at.admin();
  await admin.publishSettings({ changes: [set("maxItems", 1)] });
  // It cannot say by a schema what it refuses.
  const strict: StandardSchema<Orders> = {
    "~standard": {
      version: 1 as const,
      vendor: "test",
      validate: (value: unknown) =>
        (value as Orders).maxItems > 5
          ? { issues: [{ message: "too many", path: ["maxItems"] }] }
          : { value: value as Orders },
    },
  };
  const runtime = process(at, { instance: "orders-1" });
  const values = await settings(strict, { runtime });
  const lax = await use(process(at, { instance: "orders-2" }));
  const { delivery } = await admin.publishSettings({ changes: [set("maxItems", 9)], waitMs: 2_000 });
  assert.equal(delivery?.planes, 2);
  assert.equal(delivery.applied, 1);
  assert.match(delivery.refused[0].process, /^orders-1\//);
  assert.equal(delivery.refused[0].reason, "orders: maxItems: too many");
  assert.deepEqual([values.maxItems, lax.maxItems], [1, 9]);
  const { consumers } = await admin.getSettings({ namespace: "orders" });
  const refused = consumers.find(({ instance }) => instance === "orders-1");
  assert.deepEqual(
    [refused?.revision, refused?.appliedRevision, refused?.refusedRevision, refused?.refusal],
    [2n, 1n, 2n, "maxItems: too many"],
  );
  const { problems } = await admin.getTopology({});
  assert.match(problems[0].message, /^refused settings orders of revision 2, those before stay: maxItems: too many$/);
  await admin.publishSettings({ changes: [set("maxItems", 3)], waitMs: 2_000 });
  assert.deepEqual([values.maxItems, lax.maxItems], [3, 3]);
});

test("what the schema, or a process that uses it, does not allow is not published", async () => {
  const at = await world();
  const admin = at.admin();
  const schema = { type: "object", properties: { maxItems: { type: "number" } }, additionalProperties: false };
  await admin.publishSettings({
    changes: [
      set("maxItems", 1),
      { namespace: "orders", change: { case: "schema", value: { jsonSchema: JSON.stringify(schema) } } },
    ],
  });
  const wrong = await rejection(admin.publishSettings({ changes: [set("maxItems", "x"), set("maxItms", 1)] }));
  assert.equal(wrong.code, "invalid_argument");
  assert.equal(
    wrong.message,
    'orders/maxItems: must be number, not string\norders/maxItms: the schema has no such property; did you mean "maxItems"?',
  );
  await use(process(at, { instance: "orders-1" }));
  const refused = await rejection(admin.publishSettings({ changes: [set("maxItems", 1.5)], validateOnly: true }));
  assert.match(
    refused.message,
    /^process orders-1\/\S+ of orders expects otherwise: orders\/maxItems: must be integer, not number$/,
  );
  assert.equal((await admin.getSettings({})).revision, 1n);
});

test("what a process cannot take as a whole is not published, either", async () => {
  const at = await world();
  const admin = at.admin();
  await admin.publishSettings({ changes: [set("file", "x")] });
  const schema = { type: "object", anyOf: [{ required: ["file"] }, { required: ["url"] }], maxProperties: 1 };
  await settings(schema, { runtime: process(at, { instance: "orders-1" }) });
  const refused = await rejection(admin.publishSettings({ changes: [set("url", "y")] }));
  assert.match(refused.message, /^process orders-1\/\S+ of orders expects otherwise: orders: /);
});

test("a schema may be a message of a contract that a service registers", async () => {
  const at = await world();
  const admin = at.admin();
  const schema = (message: string) => ({
    namespace: "orders",
    change: { case: "schema" as const, value: { message } },
  });
  const unknown = await rejection(admin.publishSettings({ changes: [schema("grpc.health.v1.HealthCheckRequest")] }));
  assert.match(
    unknown.message,
    /^orders: no service registers a contract with the message grpc.health.v1.HealthCheckRequest/,
  );
  const registered = await at.link().link.register(registrationOf("health"));
  await admin.publishSettings({ changes: [schema("grpc.health.v1.HealthCheckRequest"), set("service", "a")] });
  const near = await rejection(admin.publishSettings({ changes: [schema("grpc.health.v1.HealthCheckReques")] }));
  assert.match(near.message, /did you mean "grpc.health.v1.HealthCheckRequest"\?/);
  const wrong = await rejection(admin.publishSettings({ changes: [set("service", 7)] }));
  assert.match(wrong.message, /^orders\/service: /);
  const misspelt = await rejection(admin.publishSettings({ changes: [set("servise", "b")] }));
  assert.match(misspelt.message, /^orders\/servise: .* has no field "servise"; did you mean "service"/);
  // Who uses it expects the same message.
  const values = await settings(HealthCheckRequestSchema, { runtime: process(at) });
  assert.equal(values.service, "a");
  await admin.publishSettings({ changes: [set("service", "b")], waitMs: 2_000 });
  assert.equal(values.service, "b");
  await registered.release();
});

test("a process cannot hold publications up by what it says that it expects", async () => {
  const at = await world();
  const admin = at.admin();
  const nested = "[".repeat(30_000) + "]".repeat(30_000);
  const schemas = [
    '{"properties":{"a":{"pattern":"^(a+)+$"}}}',
    '{"$ref":"#"}',
    `{"enum":${nested}}`,
    "no JSON",
    '{"type":"nubmer"}',
  ];
  const outbox = new Outbox<MessageInitShape<typeof AttachRequestSchema>>();
  closing.push(async () => outbox.end());
  outbox.push({ message: { case: "hello", value: { process: "odd/1" } } });
  const acks = new Map<bigint, number>();
  void (async () => {
    for await (const message of at.control().attach(outbox))
      for (const { requestId, code } of message.acks) acks.set(requestId, code);
  })().catch(() => {});
  const subscribe = (requestId: bigint, namespaces: { namespace: string; schema?: string }[]) =>
    outbox.push({ message: { case: "subscribeSettings", value: { requestId, namespaces } } });
  for (const [i, schema] of schemas.entries()) subscribe(BigInt(i + 1), [{ namespace: `odd-${i}`, schema }]);
  subscribe(11n, [{ namespace: "Not A Name" }]);
  subscribe(12n, [{ namespace: "large", schema: " ".repeat(70_000) }]);
  subscribe(
    13n,
    Array.from({ length: 101 }, (_, i) => ({ namespace: `n-${i}` })),
  );
  await eventually(() => acks.size === 8, "all answers");
  const codes = [...acks].sort(([a], [b]) => Number(a - b)).map(([, code]) => code);
  assert.deepEqual(codes, [0, 0, 0, 0, 0, 3, 3, 8]);
  const changes = schemas.map((_, i) => ({ ...set("a", `${"a".repeat(60)}b`), namespace: `odd-${i}` }));
  const { warnings, revision } = await admin.publishSettings({ changes });
  assert.equal(revision, 1n);
  assert.ok(
    warnings.length >= 2 && warnings.every((line) => line.startsWith("process odd/1 of no service expects otherwise")),
  );
});

test("what is said of labels is bounded", async () => {
  const at = await world();
  const hello = (labels: Record<string, string>) => [
    { message: { case: "hello" as const, value: { process: "odd/1", labels } } },
  ];
  const many = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`l${i}`, "x"]));
  for (const labels of [many, { a: "x".repeat(300) }, { a: "\n" }]) {
    const ended = rejection(
      (async () => {
        for await (const _ of at.control().attach(hello(labels)));
      })(),
    );
    assert.equal((await ended).reason, "BAD_HELLO");
  }
});

test("settings are read and published over HTTP, too", async () => {
  const at = await world();
  const url = `http://${at.plane?.address}/v1/settings`;
  const post = (body: unknown) =>
    fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  const change = { namespace: "orders", set: { key: "maxItems", json: "5" } };
  const published = await post({ changes: [change], author: "ada", reason: "by hand" });
  assert.deepEqual([published.status, ((await published.json()) as { revision: string }).revision], [200, "1"]);
  const wrong = await post({ changes: [{ namespace: "orders", set: { key: "maxItems", json: "five" } }] });
  assert.equal(wrong.status, 400);
  assert.match(JSON.stringify(await wrong.json()), /orders\/maxItems: it is no JSON/);
  const held = (await (await fetch(`${url}?namespace=orders`)).json()) as { settings: string };
  assert.equal(JSON.parse(held.settings).namespaces.orders.values.maxItems.value, 5);
  assert.equal((await fetch(`${url}?namespace=nothing`)).status, 404);
});

test("compare-and-set, by key and by revision, says who was first", async () => {
  const at = await world();
  const admin = at.admin();
  await admin.publishSettings({ changes: [set("maxItems", 1)], author: "ada" });
  await admin.publishSettings({ changes: [set("mode", "fast")], author: "eve" });
  await admin.publishSettings({ changes: [set("maxItems", 2, 1)], author: "eve" });
  const stale = await rejection(admin.publishSettings({ changes: [set("maxItems", 3, 1)] }));
  assert.deepEqual([stale.code, stale.reason], ["aborted", "STALE_SETTING"]);
  assert.match(stale.message, /^orders\/maxItems was changed by eve at 20\S+ \(revision 3, compared with 1\)/);
  const revision = await rejection(admin.publishSettings({ changes: [set("maxItems", 3)], expectedRevision: 1n }));
  assert.deepEqual([revision.code, revision.reason], ["aborted", "STALE_REVISION"]);
  const many = Array.from({ length: 8 }, () =>
    admin.publishSettings({ changes: [set("maxItems", 9, 3)] }).catch(() => null),
  );
  assert.equal((await Promise.all(many)).filter((one) => one !== null && one.revision === 4n).length, 1);
});

test("a roll-back of the whole system takes settings back, too", async () => {
  const at = await world();
  const admin = at.admin();
  await admin.publishSettings({ changes: [set("maxItems", 1)] });
  const values = await use(process(at));
  await admin.publishSettings({ changes: [set("maxItems", 2), set("mode", "fast")], waitMs: 2_000 });
  const before = snapshotOf(values);
  await admin.rollbackRevision({ revision: 1n, author: "ada" });
  await eventually(() => values.maxItems === 1, "the value of before");
  assert.deepEqual([{ ...before }, { ...values }], [{ maxItems: 2, mode: "fast" }, { maxItems: 1 }]);
});

test("a roll-back of the whole system is not in force where its settings are refused", async () => {
  const at = await world();
  const admin = at.admin();
  await admin.publishSettings({ changes: [set("maxItems", 9)] });
  await admin.publishSettings({ changes: [set("maxItems", 1)] });
  const strict: StandardSchema<Orders> = {
    "~standard": {
      version: 1,
      vendor: "test",
      async validate(value) {
        // It answers after the routes are in force.
        await new Promise((resolve) => setTimeout(resolve, 50));
        return (value as Orders).maxItems > 5 ? { issues: [{ message: "too many" }] } : { value: value as Orders };
      },
    },
  };
  const values = await settings(strict, { runtime: process(at, { instance: "orders-1" }) });
  const { delivery } = await admin.rollbackRevision({ revision: 1n, waitMs: 2_000 });
  assert.deepEqual([delivery?.planes, delivery?.applied], [1, 0]);
  assert.equal(delivery?.refused[0].reason, "settings orders: too many");
  assert.equal(values.maxItems, 1);
});

test("sealed values are sealed everywhere but in the process that has the key", async () => {
  const text = newSettingsKey("k1");
  const at = await world();
  const admin = at.admin();
  const sealed = new SettingsKeys(text, "test").seal("orders", "mode", "the-secret");
  await admin.publishSettings({ changes: [set("mode", sealed)] });
  const stateFile = join(at.folder, "state.json");
  const runtime = process(at, { settingsKeys: text, stateFile });
  const values = await use(runtime);
  assert.equal(values.mode, "the-secret");
  await runtime.close();
  const [file] = readdirSync(at.folder).filter((name) => name.endsWith(".settings.json"));
  const onDisk = readFileSync(join(at.folder, file), "utf8");
  assert.ok(onDisk.includes("$sealed") && !onDisk.includes("the-secret"));
  const { settings: held } = await admin.getSettings({});
  assert.ok(held.includes("$sealed") && !held.includes("the-secret"));
});

test("a control plane that has the keys checks what is sealed, and shows nothing of it", async () => {
  const text = newSettingsKey("k1");
  const keys = new SettingsKeys(text, "test");
  const at = await world({ settingsKeys: keys });
  const admin = at.admin();
  const schema = { properties: { mode: { type: "string", enum: ["fast"] } } };
  const { message } = await rejection(
    admin.publishSettings({
      changes: [
        set("mode", keys.seal("orders", "mode", "the-secret")),
        { namespace: "orders", change: { case: "schema", value: { jsonSchema: JSON.stringify(schema) } } },
      ],
    }),
  );
  assert.equal(message, "orders/mode: its sealed value does not fit the schema");
});

test("where mutual TLS is strict settings are for the service alone", async () => {
  const policy = `
apiVersion: weftmesh.dev/v1
kind: TrafficPolicy
metadata: { name: orders }
spec:
  targetRefs: [{ kind: Service, name: orders }]
  mtls: strict`;
  const at = await world({ resources: { text: policy, source: "policy", author: "ada", reason: "" } });
  const { code, message } = await rejection(use(process(at)));
  assert.equal(code, "permission_denied");
  assert.match(message, /the settings of orders are for its own processes/);
  await at.admin().publishSettings({ changes: [{ ...set("a", 1), namespace: "payments" }] });
  const open = await settings<{ a: number }>({}, { runtime: process(at), namespace: "payments" });
  assert.equal(open.a, 1);
});
