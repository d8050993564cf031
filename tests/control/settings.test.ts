import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, mock, test } from "node:test";
import { codecOf } from "../../src/contract/codec.ts";
import { HealthCheckRequestSchema } from "../../src/contract/gen/grpc/health/v1/health.ts";
import type { AttachRequestSchema } from "../../src/contract/gen/weft/control/v1/control.ts";
import { SettingsUpdateSchema } from "../../src/contract/gen/weft/control/v1/settings.ts";
import type { MessageInitShape } from "../../src/contract/runtime.ts";
import type { ControlPlaneOptions } from "../../src/control/control-plane.ts";
import { WeftError } from "../../src/core/errors.ts";
import { Outbox } from "../../src/link/outbox.ts";
import { createRuntime, type Runtime, type RuntimeOptions } from "../../src/service/runtime.ts";
import { onSettingsChange, settings, snapshotOf } from "../../src/service/settings/settings.ts";
import type { StandardSchema } from "../../src/service/settings/standard-schema.ts";
import type { KeyValue } from "../../src/settings/key-value.ts";
import { MemoryKeyValue } from "../../src/settings/memory-key-value.ts";
import { newSettingsKey, SettingsKeys } from "../../src/settings/sealed.ts";
import { registrationOf, World } from "./world.ts";

/** The configuration centre, from who publishes to who uses it. */

const printed = mock.method(console, "error", () => {});
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function world(options: Partial<ControlPlaneOptions> = {}): Promise<World> {
  const made = new World();
  closing.push(() => made.close());
  await made.startInMemory(options);
  return made;
}

function process(at: World, options: RuntimeOptions = {}): Runtime {
  const runtime = createRuntime({ env: {}, control: at.plane?.address ?? "", service: "orders", ...options });
  closing.push(() => runtime.close());
  return runtime;
}

const orders = {
  type: "object",
  properties: { maxItems: { type: "integer", default: 10 }, mode: { type: "string" } },
} as const;
interface Orders {
  maxItems: number;
  mode?: string;
}
const use = (runtime: Runtime, schema: Record<string, unknown> = orders) => settings<Orders>(schema, { runtime });

const set = (key: string, value: unknown, expected?: number) => ({
  namespace: "orders",
  change: {
    case: "set" as const,
    value: { key, json: JSON.stringify(value), ...(expected !== undefined && { expectedRevision: BigInt(expected) }) },
  },
});

async function rejection(body: Promise<unknown>): Promise<WeftError> {
  try {
    await body;
  } catch (thrown) {
    if (thrown instanceof WeftError) return thrown;
    throw thrown;
  }
  assert.fail("it did not reject");
}

async function until(what: () => unknown, holds = 5_000): Promise<void> {
  const end = performance.now() + holds;
  while (!(await what())) {
    assert.ok(performance.now() < end, `not within ${holds} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("what is published is in force at every process within moments, and the publication says so", async () => {
  const at = await world();
  const admin = at.admin();
  await admin.publishSettings({ changes: [set("maxItems", 1)], author: "ada", reason: "first" });
  const all = await Promise.all(Array.from({ length: 5 }, (_, i) => use(process(at, { instance: `orders-${i}` }))));
  assert.deepEqual(
    all.map(({ maxItems }) => maxItems),
    [1, 1, 1, 1, 1],
  );
  const took: number[] = [];
  for (let round = 2; round <= 15; round++) {
    let began = 0;
    const seen = all.map(
      (values) =>
        new Promise<void>((resolve) => {
          const stop = onSettingsChange(values, () => {
            took.push(performance.now() - began);
            stop();
            resolve();
          });
        }),
    );
    began = performance.now();
    const published = await admin.publishSettings({ changes: [set("maxItems", round)], waitMs: 2_000 });
    await Promise.all(seen);
    assert.deepEqual(
      { ...published.delivery, $typeName: 0 },
      { $typeName: 0, planes: 5, applied: 5, refused: [], waiting: [] },
    );
    assert.deepEqual(published.changes, ["settings orders/maxItems"]);
  }
  took.sort((a, b) => a - b);
  const p99 = took[Math.floor(took.length * 0.99)];
  // A few milliseconds on a machine that has nothing else to do.
  assert.ok(p99 < 1_000, `p99 of ${took.length} updates took ${p99} ms`);
  const { settings: held, revision } = await admin.getSettings({ namespace: "orders" });
  assert.equal(revision, 15n);
  assert.equal(JSON.parse(held).namespaces.orders.values.maxItems.value, 15);
});

test("what changes for others alone is sent to nobody else", async () => {
  const at = await world();
  const admin = at.admin();
  await admin.publishSettings({ changes: [set("maxItems", 1)] });
  const mine = await use(process(at, { instance: "orders-1", zone: "eu", version: "v1" }));
  const theirs = await use(process(at, { instance: "orders-2", zone: "us", labels: { canary: "yes" } }));
  const gray = {
    namespace: "orders",
    change: { case: "beginGray" as const, value: { values: { maxItems: "2" }, to: { tags: { canary: "yes" } } } },
  };
  const { delivery, revision } = await admin.publishSettings({ changes: [gray], waitMs: 2_000 });
  assert.equal(delivery?.applied, 2);
  assert.deepEqual([mine.maxItems, theirs.maxItems], [1, 2]);
  const consumers = async () => {
    const { consumers: all } = await admin.getSettings({ namespace: "orders" });
    return all.map((one) => [one.instance, Number(one.revision), Number(one.appliedRevision), one.grays]).sort();
  };
  assert.deepEqual(await consumers(), [
    ["orders-1", 1, 1, []],
    ["orders-2", 2, 2, ["g-2"]],
  ]);
  assert.equal(revision, 2n);
  const id = "g-2";
  const widen = { namespace: "orders", change: { case: "widenGray" as const, value: { id, to: { zones: ["eu"] } } } };
  await admin.publishSettings({ changes: [widen], waitMs: 2_000 });
  assert.deepEqual([mine.maxItems, theirs.maxItems], [2, 1]);
  await admin.publishSettings({
    changes: [{ namespace: "orders", change: { case: "promoteGray", value: id } }],
    waitMs: 2_000,
  });
  assert.deepEqual([mine.maxItems, theirs.maxItems], [2, 2]);
});

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
  await until(() => acks.size === 8);
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
  await until(() => values.maxItems === 1);
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

test("the last values in force survive a restart while the control plane is away, and an update comes when it is back", async () => {
  const at = await world();
  const admin = at.admin();
  await admin.publishSettings({ changes: [set("maxItems", 4)] });
  const stateFile = join(at.folder, "state.json");
  const first = process(at, { stateFile });
  assert.equal((await use(first)).maxItems, 4);
  await first.close();
  const port = at.plane?.port;
  await at.plane?.stop();
  const second = process(at, { stateFile });
  const values = await use(second);
  assert.equal(values.maxItems, 4);
  const { reason, message } = await rejection(settings(orders, { runtime: process(at), timeoutMs: 300 }));
  assert.equal(reason, "CONTROL_UNREACHABLE");
  assert.match(message, /the settings of orders cannot be had: .*nothing is kept on disk \(WEFT_STATE_FILE\)/);
  await at.startInMemory({ port });
  await at.admin().publishSettings({ changes: [set("maxItems", 5)] });
  await until(() => values.maxItems === 5, 10_000);
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

/** Stays when one of those that share it stops. */
function heldOpen(store: KeyValue): KeyValue {
  return {
    get: (key) => store.get(key),
    list: (prefix) => store.list(prefix),
    keys: (prefix) => store.keys(prefix),
    put: (key, value, expected) => store.put(key, value, expected),
    delete: (key, expected) => store.delete(key, expected),
    watch: (key, listener) => store.watch(key, listener),
    close: async () => {},
  };
}

test("several control planes over one store deliver what any of them publishes, and say where it was refused", async () => {
  const store = new MemoryKeyValue();
  const operatorToken = "operator-token-of-a-test-0123456789abcdef";
  const options = { shared: true, identity: { operatorToken } };
  const one = await world({ ...options, store: heldOpen(store) });
  const two = await world({ ...options, store: heldOpen(store) });
  const published = (value: unknown) =>
    one.admin().publishSettings({ changes: [set("maxItems", value)], waitMs: 5_000 });
  await published(1);
  const here = await use(process(one, { instance: "orders-1" }));
  const there = await use(process(two, { instance: "orders-2" }));
  await process(two, { service: "other" }).link()?.subscribe("orders");
  // They have found each other.
  const seen = async () => (await one.admin().getSettings({})).consumers.length === 2;
  await until(seen, 15_000);
  const { delivery } = await published(2);
  assert.deepEqual([delivery?.planes, delivery?.applied, delivery?.waiting], [2, 2, []]);
  assert.deepEqual([here.maxItems, there.maxItems], [2, 2]);
});

test("of a thousand processes about as many get a gray release as its percent says; widening keeps those that had it", async () => {
  const at = await world();
  const admin = at.admin();
  await admin.publishSettings({ changes: [set("maxItems", 1)] });
  const updates = codecOf(SettingsUpdateSchema);
  const control = at.control();
  const values = new Map<string, number>();
  let sent = 0;
  let welcomed = 0;
  const ending: Outbox<MessageInitShape<typeof AttachRequestSchema>>[] = [];
  for (let i = 0; i < 1_000; i++) {
    const instance = `orders-${i}`;
    const outbox = new Outbox<MessageInitShape<typeof AttachRequestSchema>>();
    ending.push(outbox);
    outbox.push({ message: { case: "hello", value: { process: `${instance}/1`, instance } } });
    outbox.push({
      message: { case: "subscribeSettings", value: { requestId: 1n, namespaces: [{ namespace: "orders" }] } },
    });
    void (async () => {
      for await (const message of control.attach(outbox)) {
        welcomed += message.acks.length;
        for (const bytes of message.settings) {
          sent++;
          const { namespace, revision, json } = updates.decode(bytes, 0, bytes.byteLength);
          values.set(instance, JSON.parse(json).maxItems);
          outbox.push({ message: { case: "settingsApplied", value: { namespace, revision, error: "" } } });
        }
      }
    })().catch(() => {});
  }
  closing.push(async () => {
    for (const outbox of ending) outbox.end();
  });
  await until(() => welcomed === 1_000, 10_000);
  assert.equal(sent, 1_000);
  const having = () => new Set([...values].filter(([, value]) => value === 2).map(([instance]) => instance));
  const began = await admin.publishSettings({
    changes: [
      { namespace: "orders", change: { case: "beginGray", value: { values: { maxItems: "2" }, to: { percent: 10 } } } },
    ],
    waitMs: 10_000,
  });
  assert.deepEqual([began.delivery?.planes, began.delivery?.applied], [1_000, 1_000]);
  const ten = having();
  // Four standard deviations of a binomial distribution.
  assert.ok(Math.abs(ten.size - 100) <= 38, `${ten.size} of 1000 have it at 10 %`);
  assert.equal(sent, 1_000 + ten.size, "only those who get others are sent any");
  const widen = { id: "g-2", to: { percent: 50 } };
  await admin.publishSettings({
    changes: [{ namespace: "orders", change: { case: "widenGray", value: widen } }],
    waitMs: 10_000,
  });
  const fifty = having();
  assert.ok(Math.abs(fifty.size - 500) <= 64, `${fifty.size} of 1000 have it at 50 %`);
  for (const instance of ten) assert.ok(fifty.has(instance), `${instance} lost it`);
  await admin.publishSettings({
    changes: [{ namespace: "orders", change: { case: "endGray", value: "g-2" } }],
    waitMs: 10_000,
  });
  assert.equal(having().size, 0);
  assert.equal(printed.mock.calls.filter(({ arguments: [line] }) => /bug/.test(String(line))).length, 0);
});
