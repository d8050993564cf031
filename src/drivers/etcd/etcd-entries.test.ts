import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Event,
  Event_EventType,
  EventSchema,
  type KeyValue,
  KeyValueSchema,
} from "../../contract/gen/mvccpb/kv.ts";
import { create } from "../../contract/runtime.ts";
import type { BackendChange } from "../../registry/endpoint-backend.ts";
import { encodeEndpointEntry } from "../../registry/endpoint-value.ts";
import { endpointOf } from "../../registry/registry.case.ts";
import { EtcdEntries } from "./etcd-entries.ts";
import { EtcdKeys } from "./etcd-keys.ts";

const keys = new EtcdKeys("/weft", "shop");
const NAME = Buffer.from('{"id":"these","floor":0}');
const epoch = {
  isNamed: (value: Uint8Array) => Buffer.compare(value, NAME) === 0,
  versionOf: (revision: bigint) => 1_000 + Number(revision),
};

function entries(): { known: EtcdEntries; unusable: string[] } {
  const unusable: string[] = [];
  const onUnusable = ({ message }: Error): void => void unusable.push(message);
  return { known: new EtcdEntries({ keys, plane: "ours", name: "etcd at h1:2379", onUnusable }), unusable };
}

const kv = (key: Uint8Array, revision: number, value: Uint8Array = Buffer.alloc(0)): KeyValue =>
  create(KeyValueSchema, { key, modRevision: BigInt(revision), value });

const endpoint = (number: number, plane: string, revision: number): KeyValue => {
  const endpoint = endpointOf("alpha", number);
  const value = encodeEndpointEntry({ endpoint, check: "healthy", owner: `o${number}`, ttlMs: 3_000, plane });
  return kv(keys.endpoint(endpoint.id), revision, value);
};

const put = (kv: KeyValue): Event => create(EventSchema, { type: Event_EventType.PUT, kv });
const deleted = (key: Uint8Array, revision: number): Event =>
  create(EventSchema, { type: Event_EventType.DELETE, kv: kv(key, revision) });

function said(changes: readonly BackendChange[] | null): string[] | undefined {
  return changes?.map((change) => {
    if (change.kind === "removed")
      return `removed ${change.id} of ${change.owner} at ${change.version} ${change.orphaned}`;
    return `${change.entry.endpoint.id} at ${change.version}${change.orphaned ? " orphaned" : ""}`;
  });
}

test("what is listed is told with the planes that live, wherever their keys stand; our own needs no sign", () => {
  const { known } = entries();
  const all = [endpoint(1, "ours", 5), endpoint(2, "theirs", 6), endpoint(3, "dead", 7), kv(keys.epoch, 1, NAME)];
  assert.equal(known.list([...all, kv(keys.plane("theirs"), 2)], 9n, epoch), true);
  assert.equal(known.revision, 9);
  assert.deepEqual(said(known.all().map((kept) => ({ kind: "put", ...kept }))), [
    "alpha-1 at 1005",
    "alpha-2 at 1006",
    "alpha-3 at 1007 orphaned",
  ]);
  assert.equal(known.list([kv(keys.epoch, 1, Buffer.from("other"))], 9n, epoch), false);
  assert.equal(known.list([], 9n, epoch), false);
});

test("a sign of life that ends orphans what its plane holds, and its return tells it again", () => {
  const { known } = entries();
  known.list([endpoint(1, "theirs", 5), kv(keys.plane("theirs"), 2), kv(keys.epoch, 1, NAME)], 5n, epoch);
  assert.deepEqual(said(known.apply([deleted(keys.plane("theirs"), 6)], epoch)), ["alpha-1 at 1005 orphaned"]);
  assert.deepEqual(said(known.apply([put(endpoint(2, "theirs", 7))], epoch)), ["alpha-2 at 1007 orphaned"]);
  const back = known.apply([put(kv(keys.plane("theirs"), 8))], epoch);
  assert.deepEqual(said(back), ["alpha-1 at 1005", "alpha-2 at 1007"]);
  assert.deepEqual(said(known.apply([put(kv(keys.plane("theirs"), 9))], epoch)), []);
  assert.equal(known.hasOurSign, false);
  known.apply([put(kv(keys.plane("ours"), 10))], epoch);
  assert.equal(known.hasOurSign, true);
  assert.equal(known.revision, 10);
});

test("a removal says whose it was, and what is spoiled was not taken away", async () => {
  const { known, unusable } = entries();
  known.list([endpoint(1, "theirs", 5), endpoint(2, "theirs", 5), kv(keys.epoch, 1, NAME)], 5n, epoch);
  const key = keys.endpoint("alpha-2");
  const changes = known.apply([deleted(keys.endpoint("alpha-1"), 6), put(kv(key, 7, Buffer.from("{}")))], epoch);
  assert.deepEqual(said(changes), ["removed alpha-1 of o1 at 1006 false", "removed alpha-2 of o2 at 1007 true"]);
  assert.equal(known.read("alpha-2", kv(key, 7, Buffer.from("{}")), epoch), null);
  assert.deepEqual(said(known.apply([deleted(key, 8)], epoch)), []);
  // Of another id.
  known.apply([put({ ...endpoint(3, "theirs", 9), key: keys.endpoint("alpha-4") })], epoch);
  await null;
  assert.equal(unusable.length, 2);
  assert.match(unusable[0], /etcd at h1:2379 .*"alpha-2"/);
});

test("what happens together with a new name of the data is not told", () => {
  const { known } = entries();
  known.list([endpoint(1, "theirs", 5), kv(keys.epoch, 1, NAME)], 5n, epoch);
  const gone = deleted(keys.endpoint("alpha-1"), 6);
  assert.equal(known.apply([gone, deleted(keys.epoch, 6)], epoch), null);
  assert.equal(known.apply([gone, put(kv(keys.epoch, 6, Buffer.from("other")))], epoch), null);
  assert.equal(known.revision, 5);
  assert.equal(known.all().length, 1);
  assert.deepEqual(said(known.apply([put(kv(keys.epoch, 6, NAME))], epoch)), []);
});
