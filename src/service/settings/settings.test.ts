import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { inspect } from "node:util";
import { WatchRequestSchema } from "../../../examples/counter/gen/counter/v1/counter.ts";
import { WeftError } from "../../core/errors.ts";
import type { KnownSettings, SettingsFollower, WantedSettings } from "../../link/settings-line.ts";
import { newSettingsKey, SettingsKeys } from "../../settings/sealed.ts";
import { createRuntime } from "../runtime.ts";
import { onSettingsChange, settings, snapshotOf } from "./settings.ts";
import type { StandardSchema } from "./standard-schema.ts";

/** What people are told. */
const printed = mock.method(console, "error", () => {});

interface Orders {
  maxItems: number;
  mode?: string;
}

/** As a validator makes them: checks, defaults, paths. */
const orders: StandardSchema<Orders> = {
  "~standard": {
    version: 1,
    vendor: "test",
    async validate(value) {
      const { maxItems = 10, mode } = value as { maxItems?: unknown; mode?: string };
      if (typeof maxItems !== "number") return { issues: [{ message: "expected number", path: ["maxItems"] }] };
      return { value: mode === undefined ? { maxItems } : { maxItems, mode } };
    },
    jsonSchema: { input: ({ target }) => ({ target, type: "object" }) },
  },
};

class Source implements SettingsFollower {
  revision = 1;
  wanted: WantedSettings | null = null;
  first: KnownSettings["values"];
  kept: KnownSettings | null = null;

  constructor(first: KnownSettings["values"] = {}) {
    this.first = first;
  }

  async follow(wanted: WantedSettings): Promise<void> {
    this.wanted = wanted;
    await this.give(this.first);
  }

  async saved(): Promise<KnownSettings | null> {
    return this.kept;
  }

  async give(values: KnownSettings["values"]): Promise<string> {
    return (await this.wanted?.take({ revision: this.revision++, values, grays: [] })) ?? "nobody";
  }
}

function withSource(source: Source | null, env: Record<string, string> = {}) {
  const runtime = createRuntime({ env: { WEFT_SERVICE: "orders", ...env } });
  runtime.settingsSource = source;
  return { runtime };
}

async function rejection(body: Promise<unknown>): Promise<WeftError> {
  try {
    await body;
  } catch (thrown) {
    if (thrown instanceof WeftError) return thrown;
    throw thrown;
  }
  assert.fail("it did not reject");
}

test("what settings() gives always shows the newest values in force, and cannot be written to", async () => {
  const source = new Source({ maxItems: 5 });
  const values = await settings(orders, withSource(source));
  assert.equal(values.maxItems, 5);
  const before = snapshotOf(values);
  const heard: unknown[] = [];
  const stop = onSettingsChange(values, (now, was) => heard.push([was.maxItems, now.maxItems]));
  assert.equal(await source.give({ maxItems: 6, mode: "fast" }), "");
  assert.equal(values.maxItems, 6);
  assert.deepEqual(before, { maxItems: 5 });
  assert.deepEqual(Object.entries(values), [
    ["maxItems", 6],
    ["mode", "fast"],
  ]);
  assert.equal(JSON.stringify(values), '{"maxItems":6,"mode":"fast"}');
  assert.deepEqual({ ...values }, { maxItems: 6, mode: "fast" });
  assert.ok("mode" in values && !("other" in values));
  assert.equal(inspect(values), "{ maxItems: 6, mode: 'fast' }");
  assert.deepEqual(heard, [[5, 6]]);
  assert.throws(() => Object.assign(values, { maxItems: 7 }), /read-only/);
  assert.throws(() => Reflect.deleteProperty(values, "mode"), /read-only/);
  stop();
  await source.give({ maxItems: 7 });
  assert.equal(heard.length, 1);
});

test("values that the schema refuses are reported, and the ones before stay", async () => {
  const source = new Source({ maxItems: 5 });
  const values = await settings(orders, withSource(source));
  assert.equal(await source.give({ maxItems: "many" }), "maxItems: expected number");
  assert.equal(values.maxItems, 5);
  assert.match(
    String(printed.mock.calls.at(-1)?.arguments[0]),
    /settings of orders: revision 2 is refused, revision 1 stays: maxItems: expected number/,
  );
  assert.equal(await source.give({ maxItems: 8 }), "");
  assert.equal(values.maxItems, 8);
});

test("the control plane is told what is expected, where the schema can say it", async () => {
  const source = new Source();
  await settings(orders, withSource(source));
  assert.deepEqual(JSON.parse(source.wanted?.schema ?? ""), { target: "draft-2020-12", type: "object" });
  await settings(WatchRequestSchema, withSource(source));
  assert.deepEqual([source.wanted?.schema, source.wanted?.message], ["", "counter.v1.WatchRequest"]);
  const silent = { "~standard": { ...orders["~standard"], jsonSchema: undefined } };
  await settings(silent as unknown as typeof orders, withSource(source));
  assert.equal(source.wanted?.schema, "", "a validator that cannot say it says nothing");
});

test("a JSON Schema gives its defaults, and types that are given", async () => {
  const schema = {
    type: "object",
    properties: { maxItems: { type: "integer", default: 10 }, hosts: { type: "array", items: { type: "string" } } },
  };
  const source = new Source();
  const values = await settings<{ maxItems: number; hosts?: string[] }>(schema, withSource(source));
  assert.equal(values.maxItems, 10);
  assert.equal(await source.give({ hosts: ["a", 1] }), "hosts[1]: must be string, not number");
  await source.give({ hosts: ["a"] });
  assert.deepEqual(values.hosts, ["a"]);
  assert.throws(() => values.hosts?.push("b"), TypeError);
  assert.equal((await rejection(settings({ type: "nubmer" }, withSource(source)))).reason, "BAD_SCHEMA");
});

test("a message of Protocol Buffers gives typed values", async () => {
  const source = new Source({ from: "7", limit: 3 });
  const values = await settings(WatchRequestSchema, withSource(source));
  const { from, limit } = values;
  assert.deepEqual([from, limit], [7n, 3]);
  assert.match(await source.give({ limt: 3 }), /has no field "limt"; did you mean "limit"/);
  assert.equal(JSON.parse(JSON.stringify(values)).from, "7");
});

test("sealed values are unsealed here, by the process's own keys", async () => {
  const text = newSettingsKey("k1");
  const sealed = new SettingsKeys(text, "test").seal("orders", "mode", "secret");
  const values = await settings(orders, withSource(new Source({ mode: sealed }), { WEFT_SETTINGS_KEYS: text }));
  assert.equal(values.mode, "secret");
  const without = await rejection(settings(orders, withSource(new Source({ mode: sealed }))));
  assert.equal(without.reason, "SETTINGS_REFUSED");
  assert.match(without.message, /mode is sealed, and this process has no keys: set WEFT_SETTINGS_KEYS/);
  const moved = await rejection(
    settings(orders, {
      namespace: "payments",
      ...withSource(new Source({ mode: sealed }), { WEFT_SETTINGS_KEYS: text }),
    }),
  );
  assert.match(moved.message, /payments\/mode cannot be unsealed/);
});

test("what is wrong with a sealed value is said without it", async () => {
  const text = newSettingsKey("k1");
  const sealed = new SettingsKeys(text, "test").seal("orders", "mode", "the-secret");
  const env = { WEFT_SETTINGS_KEYS: text };
  const refusal = async (message: string, path?: string[]) => {
    const issues = [{ message, ...(path && { path }) }];
    const schema: StandardSchema<Orders> = {
      "~standard": { version: 1, vendor: "test", validate: () => ({ issues }) },
    };
    return (await rejection(settings(schema, withSource(new Source({ mode: sealed }), env)))).message;
  };
  assert.match(await refusal('must be "fast" (was "the-secret")', ["mode"]), /: mode: its sealed value does not fit/);
  assert.match(
    await refusal('mode must not be "the-secret" with maxItems'),
    /: a sealed value does not fit the schema\./,
  );
  assert.match(await refusal("expected number", ["maxItems"]), /: maxItems: expected number\./);
});

test("labels of the environment are what gray releases choose by, or are named when they are none", () => {
  const { settings: read } = createRuntime({ env: { WEFT_LABELS: "canary=yes, team=shop" } });
  assert.deepEqual(read.labels, { canary: "yes", team: "shop" });
  for (const wrong of ["canary", "=yes", "a=b c", "a=1,b"])
    assert.throws(() => createRuntime({ env: { WEFT_LABELS: wrong } }), /WEFT_LABELS.*NAME=VALUE/);
});

test("tags of the environment are those of the instance, or are named when they are none", () => {
  assert.deepEqual(createRuntime({ env: { WEFT_TAGS: "canary, blue,canary" } }).settings.tags, ["canary", "blue"]);
  for (const wrong of ["a b", "a=b", "x".repeat(64), Array.from({ length: 16 }, (_, i) => `t${i}`).join()])
    assert.throws(() => createRuntime({ env: { WEFT_TAGS: wrong } }), /WEFT_TAGS is .*it must be TAG,/);
});

test("without a control plane the defaults count, or it is said what is missing", async () => {
  assert.equal((await settings(orders, withSource(null))).maxItems, 10);
  const { reason, message } = await rejection(settings({ type: "object", required: ["apiKey"] }, withSource(null)));
  assert.equal(reason, "NO_CONTROL_PLANE");
  assert.match(message, /the defaults do not suffice: apiKey: is missing/);
});

test("when the first values are wrong the last good ones on disk are used, or it is said what is wrong", async () => {
  const source = new Source({ maxItems: "many" });
  const refused = await rejection(settings(orders, withSource(source)));
  assert.equal(refused.reason, "SETTINGS_REFUSED");
  assert.match(refused.message, /settings of orders cannot be used: maxItems: expected number/);
  source.kept = { revision: 7, values: { maxItems: 3 }, grays: [] };
  assert.equal((await settings(orders, withSource(source))).maxItems, 3);
  assert.match(String(printed.mock.calls.at(-1)?.arguments[0]), /those of revision 7 on disk are used/);
});

test("a namespace must be known, and only what settings() gave is live", async () => {
  const runtime = createRuntime({ env: {} });
  assert.equal((await rejection(settings(orders, { runtime }))).reason, "NO_NAMESPACE");
  assert.throws(() => snapshotOf({ a: 1 }), /is not what settings\(\) gave/);
});
