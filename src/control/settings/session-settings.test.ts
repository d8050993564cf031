import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { codecOf } from "../../contract/codec.ts";
import {
  SettingsAppliedSchema,
  SettingsUpdateSchema,
  SubscribeSettingsSchema,
} from "../../contract/gen/weft/control/v1/settings.ts";
import { create } from "../../contract/runtime.ts";
import { WeftError } from "../../core/errors.ts";
import { changeSettings, type SettingsChange } from "../../settings/change-settings.ts";
import { graysOf, withGrays } from "../../settings/effective-values.ts";
import { NO_SETTINGS, type SettingsConsumer, type SettingsState } from "../../settings/settings-state.ts";
import { Subscriber } from "../subscriber.ts";
import { SessionSettings } from "./session-settings.ts";
import { SettingsCentre } from "./settings-centre.ts";

const updates = codecOf(SettingsUpdateSchema);

/** A centre whose state the test changes, and processes that take what they are sent. */
class Centre {
  state: SettingsState = NO_SETTINGS;
  revision = 0;
  readonly centre = new SettingsCentre(() => this.state, { all: () => [] }, null);

  publish(changes: readonly SettingsChange[]): boolean {
    try {
      const note = { revision: this.revision + 1, author: "ada", reason: "", nowMs: 0 };
      this.state = changeSettings(this.state, changes, note);
    } catch (thrown) {
      if (thrown instanceof WeftError) return false;
      throw thrown;
    }
    this.revision++;
    this.centre.changed();
    return true;
  }
}

class Process {
  readonly subscriber = new Subscriber(() => {});
  readonly session: SessionSettings;
  readonly consumer: SettingsConsumer;
  values: unknown = null;
  received = 0;

  constructor(centre: SettingsCentre, consumer: SettingsConsumer) {
    this.consumer = consumer;
    this.session = new SessionSettings(centre, this.subscriber, {
      process: () => consumer.instance,
      service: () => "orders",
      consumer: () => consumer,
      isAhead: () => false,
      sameEpoch: () => true,
      assertMayRead() {},
    });
  }

  subscribe(knownRevision: number): void {
    const namespaces = [{ namespace: "orders", knownRevision: BigInt(knownRevision) }];
    this.session.subscribe(create(SubscribeSettingsSchema, { requestId: 1n, namespaces }));
  }

  /** Takes what there is, and answers. */
  take(error = ""): void {
    for (let message = this.subscriber.take(); message !== null; message = this.subscriber.take()) {
      for (const bytes of message.settings ?? []) {
        const { namespace, revision, json } = updates.decode(bytes, 0, bytes.byteLength);
        this.values = JSON.parse(json);
        this.received++;
        this.session.applied(create(SettingsAppliedSchema, { namespace, revision, error }));
      }
    }
  }
}

const key = fc.constantFrom("a", "b");
const change: fc.Arbitrary<SettingsChange> = fc.oneof(
  fc.record({
    kind: fc.constant("set" as const),
    namespace: fc.constantFrom("orders", "other"),
    key,
    value: fc.nat(3),
  }),
  fc.record({ kind: fc.constant("remove" as const), namespace: fc.constant("orders"), key }),
  fc.record({
    kind: fc.constant("begin" as const),
    namespace: fc.constant("orders"),
    values: fc.dictionary(key, fc.nat(3), { minKeys: 1 }),
    to: fc.oneof(
      fc.record({ percent: fc.nat(100) }),
      fc.record({ zones: fc.constantFrom(["eu"], ["us"]) }),
      fc.record({ labels: fc.constant({ version: "v2" }) }),
      fc.record({ tags: fc.constant(["canary"]) }),
    ),
  }),
  fc.record({
    kind: fc.constantFrom("promote" as const, "end" as const),
    namespace: fc.constant("orders"),
    id: fc.nat(12).map((n) => `g-${n}`),
  }),
);
type Step = { publish: SettingsChange } | { take: number } | { again: number };
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: change.map((publish) => ({ publish })) },
  { weight: 2, arbitrary: fc.nat(3).map((take) => ({ take })) },
  { weight: 1, arbitrary: fc.nat(3).map((again) => ({ again })) },
);

test("whatever is published, and however late it is taken, each process ends with what counts for it; it is sent nothing that it has", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const at = new Centre();
      const processes = ["orders-1", "orders-2", "orders-3", "orders-4"].map((instance, i) => {
        const labels: Record<string, string> = i % 2 === 0 ? { version: "v2" } : {};
        const tags = new Set(i === 1 ? ["canary"] : []);
        return new Process(at.centre, { instance, zone: i < 2 ? "eu" : "us", labels, tags });
      });
      for (const process of processes) process.subscribe(0);
      for (const one of steps) {
        if ("publish" in one) {
          at.publish([one.publish]);
        } else if ("take" in one) {
          const process = processes[one.take];
          const { received } = process;
          process.take();
          assert.ok(process.received - received <= 1, "of many updates the newest alone is sent");
        } else {
          // A line that broke: another session, with what is known of the values in use.
          const lost = processes[one.again];
          lost.session.close();
          const fresh = new Process(at.centre, lost.consumer);
          fresh.values = lost.values;
          const { applied = 0 } = lost.session.namespace("orders") ?? {};
          fresh.subscribe(applied);
          processes[one.again] = fresh;
        }
      }
      const namespace = at.state.namespaces.orders ?? { values: {}, schema: null, grays: [], revision: 0 };
      for (const process of processes) {
        process.take();
        const { values, grays } = withGrays(namespace, graysOf(namespace, process.consumer));
        assert.deepEqual(process.values, values);
        assert.deepEqual(process.session.graysOf("orders"), grays);
        assert.equal(process.session.namespace("orders")?.waiting, false);
        const { received } = process;
        at.centre.changed();
        process.take();
        assert.equal(process.received, received);
      }
    }),
  );
});

test("a namespace without gray releases is encoded once for all; with some once for each combination", () => {
  const at = new Centre();
  at.publish([{ kind: "set", namespace: "orders", key: "a", value: 1 }]);
  const instances = Array.from({ length: 1_000 }, (_, i) => ({
    instance: `orders-${i}`,
    zone: i % 2 === 0 ? "eu" : "us",
    labels: {},
    tags: new Set<string>(),
  }));
  const encodings = () => new Set(instances.map((one) => at.centre.valuesOf("orders", one).bytes)).size;
  assert.equal(encodings(), 1);
  at.publish([{ kind: "begin", namespace: "orders", values: { a: 2 }, to: { zones: ["eu"] } }]);
  at.publish([{ kind: "begin", namespace: "orders", values: { a: 3 }, to: { percent: 50 } }]);
  assert.equal(encodings(), 4);
});

test("an answer counts for what was sent last alone, and a refusal goes when other values come", () => {
  const at = new Centre();
  const process = new Process(at.centre, { instance: "orders-1", zone: "", labels: {}, tags: new Set() });
  process.subscribe(0);
  at.publish([{ kind: "set", namespace: "orders", key: "a", value: 1 }]);
  process.take("no");
  assert.deepEqual(process.session.refusals(), [{ revision: 1, resource: "settings orders", reason: "no" }]);
  at.publish([{ kind: "set", namespace: "orders", key: "a", value: 2 }]);
  assert.deepEqual(process.session.refusals(), []);
  process.session.applied(create(SettingsAppliedSchema, { namespace: "orders", revision: 1n, error: "" }));
  assert.equal(process.session.namespace("orders")?.waiting, true);
  process.take();
  assert.deepEqual(
    [process.session.namespace("orders")?.applied, process.session.namespace("orders")?.waiting],
    [2, false],
  );
});
