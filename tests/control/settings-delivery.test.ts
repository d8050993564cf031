import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { freePort } from "../../conformance/free-port.ts";
import { createDirectClient } from "../../src/call/direct.ts";
import { codecOf } from "../../src/contract/codec.ts";
import type { AttachRequestSchema } from "../../src/contract/gen/weft/control/v1/control.ts";
import { Identity } from "../../src/contract/gen/weft/control/v1/identity.ts";
import { SettingsUpdateSchema } from "../../src/contract/gen/weft/control/v1/settings.ts";
import type { MessageInitShape } from "../../src/contract/runtime.ts";
import { Outbox } from "../../src/link/outbox.ts";
import { onSettingsChange, settings } from "../../src/service/settings/settings.ts";
import type { KeyValue } from "../../src/settings/key-value.ts";
import { MemoryKeyValue } from "../../src/settings/memory-key-value.ts";
import { closing, orders, process, rejection, set, use, world } from "./settings-world.ts";
import { eventually, registrationOf, type World } from "./world.ts";

/** How settings come to those who use them: soon, to those alone whom they concern, and across restarts. */

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
    change: { case: "beginGray" as const, value: { values: { maxItems: "2" }, to: { labels: { canary: "yes" } } } },
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

test("a gray release by tag is for instances that have it in the registry, from when they have it until they do not", async () => {
  const store = new MemoryKeyValue();
  const at = await world({ store: heldOpen(store), port: await freePort() });
  const admin = at.admin();
  await admin.publishSettings({ changes: [set("maxItems", 1)] });
  const second = process(at, { instance: "orders-2" });
  const [byEnvironment, byEndpoint, never] = await Promise.all([
    use(process(at, { instance: "orders-1", tags: ["canary", "blue"] })),
    use(second),
    use(process(at, { instance: "orders-3", tags: ["green"] })),
  ]);
  const all = () => [byEnvironment.maxItems, byEndpoint.maxItems, never.maxItems];
  const begin = async (tags: string[], json: string) => {
    const value = { values: { maxItems: json }, to: { tags } };
    const change = { case: "beginGray" as const, value };
    await admin.publishSettings({ changes: [{ namespace: "orders", change }], waitMs: 2_000 });
  };
  await begin(["canary"], "2");
  assert.deepEqual(all(), [2, 1, 1]);
  await begin(["canary", "green"], "3");
  assert.deepEqual(all(), [2, 1, 1], "no one has both");
  const heard: number[] = [];
  onSettingsChange(byEndpoint, ({ maxItems }) => heard.push(maxItems));
  const registered = await second.link()?.register(registrationOf("orders", 2, { metadata: { tags: "green,canary" } }));
  await eventually(() => byEndpoint.maxItems === 3, "what the tags of its endpoint give it");
  assert.deepEqual(all(), [2, 3, 1]);
  // It says what it has registered before it asks for settings: there is no moment without them.
  const port = at.plane?.port;
  await at.plane?.stop();
  await at.startInMemory({ port, store: heldOpen(store) });
  await eventually(async () => (await at.admin().getSettings({})).consumers.length === 3, "all of them back", 10_000);
  await eventually(() => heard.at(-1) === 3, "the same");
  assert.ok(!heard.includes(1), `${heard}`);
  await registered?.release();
  await eventually(() => byEndpoint.maxItems === 1, "the value of those without tags");
  assert.deepEqual(all(), [2, 1, 1]);
});

test("the last values in force survive a restart while the control plane is away, and an update comes when it is back", async () => {
  const at = await world({ port: await freePort() });
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
  await eventually(() => values.maxItems === 5, "the new value", 10_000);
});

test("a process that has to say who it is begins with the last values, too, while the control plane is away", async () => {
  const operatorToken = "the operator's secret of this test";
  const metadata = { authorization: `Bearer ${operatorToken}` };
  const at = await world({ identity: { operatorToken } });
  await at.admin().publishSettings({ changes: [set("maxItems", 4)] }, { metadata });
  const stateFile = join(at.folder, "state.json");
  const first = process(at, { stateFile });
  await use(first);
  await first.close();
  const { client, close } = createDirectClient(Identity, at.plane?.address ?? "");
  const { token: joinToken } = await client.createJoinToken(
    { service: "orders", ttlSeconds: 60, uses: 9 },
    { metadata },
  );
  await close();
  await at.plane?.stop();
  const values = await use(process(at, { stateFile, joinToken }));
  assert.equal(values.maxItems, 4);
  const { code, reason } = await rejection(settings(orders, { runtime: process(at, { joinToken }), timeoutMs: 300 }));
  assert.deepEqual([code, reason], ["unavailable", "CONTROL_UNREACHABLE"]);
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
  await eventually(seen, "each other", 15_000);
  const { delivery } = await published(2);
  assert.deepEqual([delivery?.planes, delivery?.applied, delivery?.waiting], [2, 2, []]);
  assert.deepEqual([here.maxItems, there.maxItems], [2, 2]);
  // Of those who compare with the same revision one is first, wherever they ask.
  const changes = [set("maxItems", 3, 2)];
  const asked = [one, two, one, two].map((at) => at.admin().publishSettings({ changes, waitMs: 5_000 }));
  const answers = await Promise.allSettled(asked);
  const lost = answers.flatMap((answer) => (answer.status === "rejected" ? [answer.reason.reason] : []));
  assert.deepEqual(lost, ["STALE_SETTING", "STALE_SETTING", "STALE_SETTING"]);
  const [won] = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value.delivery] : []));
  // A control plane that did not answer is named; else it is in force at both.
  if (won?.waiting.length === 0) assert.deepEqual([won.planes, here.maxItems, there.maxItems], [2, 3, 3]);
  await eventually(() => here.maxItems === 3 && there.maxItems === 3, "the value of who was first");
});

test("a process whose control plane stops gets what is published at another one of the same store", async () => {
  const store = new MemoryKeyValue();
  const options = { shared: true, identity: { operatorToken: "operator-token-of-a-test-0123456789abcdef" } };
  const all = [
    await world({ ...options, store: heldOpen(store) }),
    await world({ ...options, store: heldOpen(store) }),
  ];
  await all[0].admin().publishSettings({ changes: [set("maxItems", 1)] });
  const control = all.map(({ plane }) => plane?.address).join(",");
  const values = await use(process(all[0], { control }));
  await eventually(() => values.maxItems === 1, "what the first one published, wherever it asks");
  const own = async (at: World) => (await at.admin().listProcesses({})).processes.length;
  const [one, two] = (await own(all[0])) > 0 ? all : all.toReversed();
  await one.plane?.stop();
  await two.admin().publishSettings({ changes: [set("maxItems", 2)] });
  await eventually(() => values.maxItems === 2, "what the other one published");
});

test("of a thousand processes about as many get a gray release as its percent says; widening keeps those that had it", async () => {
  // These processes send no heartbeats, and are not to be taken for gone.
  const at = await world({ defaultTtlMs: 600_000 });
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
  await eventually(() => welcomed === 1_000, "everybody", 10_000);
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
});
