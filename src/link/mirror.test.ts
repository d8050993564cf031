import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { codecOf } from "../contract/codec.ts";
import { endpointToMessage } from "../contract/endpoint-message.ts";
import {
  AttachResponseSchema,
  ResourceSetSchema,
  ServiceContractSchema,
  ServiceUpdateSchema,
} from "../contract/gen/weft/control/v1/control.ts";
import { create, type MessageInitShape } from "../contract/runtime.ts";
import type { Endpoint } from "../core/endpoint.ts";
import { seededRandom } from "../core/random.ts";
import { BackOff } from "./back-off.ts";
import { Mirror } from "./mirror.ts";
import { loadState, saveState } from "./state-file.ts";

function endpoint(id: string, service: string, port = 9_000): Endpoint {
  return {
    id,
    service,
    host: "10.0.0.1",
    port,
    version: "v1",
    zone: "",
    weight: 2,
    protocol: "h2",
    health: "draining",
    metadata: { a: "b" },
  };
}

function update(init: MessageInitShape<typeof ServiceUpdateSchema>): Uint8Array {
  return codecOf(ServiceUpdateSchema).encode(init);
}

function message(...services: Uint8Array[]) {
  return create(AttachResponseSchema, { services });
}

const METHOD = { path: "/a.v1.A/Do", idempotent: true, clientStreaming: false, serverStreaming: true };

function filled(): Mirror {
  const mirror = new Mirror();
  mirror.apply(
    create(AttachResponseSchema, {
      welcome: { epoch: "e1" },
      services: [
        update({
          service: "a",
          endpointVersion: 5n,
          full: true,
          changed: [endpoint("a-1", "a"), endpoint("a-2", "a")].map(endpointToMessage),
          methods: { contracts: ["a.v1.A"], methods: [METHOD] },
        }),
      ],
      resources: codecOf(ResourceSetSchema).encode({ revision: 3n, json: '[{"kind":"X"}]' }),
      contracts: [
        codecOf(ServiceContractSchema).encode({
          service: "a",
          contracts: ["a.v1.A"],
          descriptors: Uint8Array.of(1, 2),
        }),
      ],
    }),
  );
  return mirror;
}

test("endpoints travel whole", () => {
  assert.deepEqual(filled().endpoints(), [endpoint("a-1", "a"), endpoint("a-2", "a")]);
});

test("deltas add to what is known, a whole state replaces it and names what is gone", () => {
  const mirror = filled();
  const delta = mirror.apply(
    message(
      update({
        service: "a",
        endpointVersion: 6n,
        changed: [endpointToMessage(endpoint("a-3", "a"))],
        removed: [{ id: "a-1" }],
      }),
    ),
  );
  assert.deepEqual(delta.removed, [{ id: "a-1", service: "a" }]);
  assert.equal(delta.resources, false);
  assert.deepEqual(
    mirror.endpoints().map(({ id }) => id),
    ["a-2", "a-3"],
  );
  const full = mirror.apply(
    message(
      update({
        service: "a",
        endpointVersion: 9n,
        full: true,
        changed: [endpointToMessage(endpoint("a-3", "a"))],
        methods: { contracts: ["a.v1.A"], methods: [METHOD] },
      }),
    ),
  );
  assert.deepEqual(full.removed, [{ id: "a-2", service: "a" }]);
  assert.equal(full.resources, false, "the same methods again are no change");
  assert.equal(mirror.endpointVersion, 9);
});

test("a name stands for the service or for those that serve the contract", () => {
  const mirror = filled();
  assert.deepEqual(
    [mirror.has("a"), mirror.has("a.v1.A"), mirror.has("b"), mirror.has("*")],
    [true, true, false, true],
  );
  assert.deepEqual(mirror.servicesOf("a.v1.A"), ["a"]);
  assert.deepEqual(mirror.methods(), [{ ...METHOD, service: "a" }]);
  assert.deepEqual(
    mirror.keepOnly(new Set(["b"])).map(({ id }) => id),
    ["a-1", "a-2"],
  );
});

test("the state survives on disk; what cannot be read is as good as none", async () => {
  const folder = mkdtempSync(join(tmpdir(), "weft-state-"));
  const file = join(folder, "deep", "state.json");
  const mirror = filled();
  await saveState(file, mirror);
  const loaded = new Mirror();
  assert.equal(await loadState(file, loaded), true);
  assert.deepEqual(loaded.endpoints(), mirror.endpoints());
  assert.deepEqual(loaded.methods(), mirror.methods());
  assert.deepEqual([loaded.revision, loaded.resources, loaded.epoch], [3, [{ kind: "X" }], ""]);
  assert.deepEqual(loaded.contracts.get("a"), {
    service: "a",
    contracts: ["a.v1.A"],
    descriptors: Uint8Array.of(1, 2),
  });
  writeFileSync(file, '{"format": 1, "serv');
  assert.equal(await loadState(file, new Mirror()), false);
  assert.equal(await loadState(join(folder, "none"), new Mirror()), false);
  rmSync(folder, { recursive: true });
});

test("pauses double up to their ceiling, are jittered, and begin anew after a success", () => {
  const backOff = new BackOff(seededRandom(3), { baseMs: 100, maxMs: 5_000 });
  for (const ceiling of [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]) {
    const pause = backOff.next();
    assert.ok(pause >= ceiling / 10 && pause <= ceiling, `${pause} of ${ceiling}`);
  }
  backOff.reset();
  assert.ok(backOff.next() <= 100);
  backOff.limit(1_000);
  for (let i = 0; i < 20; i++) assert.ok(backOff.next() <= 1_000);
});
