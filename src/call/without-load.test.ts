import assert from "node:assert/strict";
import { test } from "node:test";
import { responseHead, trailersHead } from "../wire/head.ts";
import { withoutLoad } from "./without-load.ts";

test("what a server says of its load is taken out, in any of its forms; nothing else is touched", () => {
  const ordinary = trailersHead(["grpc-status", "0", "endpoint", "a"]);
  assert.equal(withoutLoad(ordinary), ordinary);
  const telling = [
    "x-a",
    "1",
    "endpoint-load-metrics",
    "TEXT cpu_utilization=1",
    "endpoint-load-metrics-bin",
    "CQ==",
    "x-b",
    "2",
  ];
  const stripped = withoutLoad(responseHead(200, telling));
  assert.deepEqual([stripped.status, ...stripped.fields], [200, "x-a", "1", "x-b", "2"]);
});
