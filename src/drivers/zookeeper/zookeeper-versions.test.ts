import assert from "node:assert/strict";
import { test } from "node:test";
import { ZookeeperVersions } from "./zookeeper-versions.ts";

test("versions are transactions, there and back", () => {
  const versions = new ZookeeperVersions();
  versions.reading({ ctime: 5n, czxid: 1n });
  assert.equal(versions.of(41n), 41);
  assert.equal(versions.zxidOf(41), 41n);
  assert.equal(versions.reading({ ctime: 5n, czxid: 1n }), false);
  assert.equal(versions.of(42n), 42);
});

test("with other data versions go on above those of the old, which are none of the new", () => {
  const versions = new ZookeeperVersions();
  versions.reading({ ctime: 5n, czxid: 1n });
  const old = versions.of(1_000n);
  for (const data of [
    { ctime: 6n, czxid: 1n },
    { ctime: 6n, czxid: 2n },
  ]) {
    assert.equal(versions.reading(data), true);
    assert.equal(versions.zxidOf(old), null);
    const next = versions.of(3n);
    assert.ok(next > old);
    assert.equal(versions.zxidOf(next), 3n);
  }
});
