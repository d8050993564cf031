import assert from "node:assert/strict";
import { test } from "node:test";
import type { WeftError } from "../core/errors.ts";
import type { Resource } from "../policy/resource/resources.ts";
import { createPolicyRuntime } from "../policy/snapshot/create-runtime.ts";
import { Mirror } from "./mirror.ts";
import { PolicyFeed } from "./policy-feed.ts";

const GOOD = [
  { apiVersion: "weftmesh.dev/v1", kind: "TrafficPolicy", metadata: { name: "a" }, spec: { timeout: "1s" } },
] as Resource[];
const NOTHING_NEW = { advanced: false, contracts: false, changed: [], removed: [], touched: [] };

test("resources that cannot be used here are reported, and the last good ones stay under new methods", () => {
  const mirror = new Mirror();
  const policy = createPolicyRuntime();
  const errors: WeftError[] = [];
  const feed = new PolicyFeed(policy, mirror, (error) => errors.push(error));
  mirror.revision = 1;
  mirror.resources = GOOD;
  feed.feed({ ...NOTHING_NEW, resources: true });
  assert.equal(policy.revision, 1);
  const refusing = Object.assign(Object.create(policy), {
    applied: [] as number[],
    applyResources(revision: number) {
      if (revision === 2) throw new Error("from the future");
      this.applied.push(revision);
    },
  });
  const strict = new PolicyFeed(refusing, mirror, (error) => errors.push(error));
  strict.feed({ ...NOTHING_NEW, resources: true });
  mirror.revision = 2;
  strict.feed({ ...NOTHING_NEW, resources: true });
  assert.deepEqual(refusing.applied, [1, 1]);
  assert.deepEqual(
    errors.map(({ reason }) => reason),
    ["RESOURCES_REFUSED"],
  );
});
