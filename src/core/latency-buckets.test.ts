import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bucketBoundMs, LATENCY_BUCKETS, latencyBucket, latencyQuantile } from "./latency-buckets.ts";

test("each duration is in the bucket whose bounds it is between, within a millionth", () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 200_000, noNaN: true }), (ms) => {
      const bucket = latencyBucket(ms);
      assert.ok(ms <= bucketBoundMs(bucket) * 1.000_002, `${ms} in ${bucket}`);
      if (bucket > 0) assert.ok(ms >= bucketBoundMs(bucket - 1) * 0.999_998, `${ms} in ${bucket}`);
    }),
    { numRuns: 2_000 },
  );
  for (let bucket = 1; bucket < LATENCY_BUCKETS - 1; bucket++) {
    assert.equal(latencyBucket(bucketBoundMs(bucket) * 0.999_9), bucket);
    assert.equal(latencyBucket(bucketBoundMs(bucket) * 1.000_1), bucket + 1);
  }
});

test("what is no duration, or out of every range, has a bucket, too", () => {
  assert.deepEqual([Number.NaN, -1, 0, 0.01].map(latencyBucket), [0, 0, 0, 0]);
  assert.equal(latencyBucket(Number.POSITIVE_INFINITY), LATENCY_BUCKETS - 1);
  assert.equal(latencyBucket(1e300), LATENCY_BUCKETS - 1);
});

test("a quantile of nothing is 0", () => {
  assert.equal(latencyQuantile(new Float64Array(LATENCY_BUCKETS), 0.5), 0);
});
