import assert from "node:assert/strict";
import { test } from "node:test";
import { idOfName, keyOfName, nameIn, ZookeeperPaths } from "./zookeeper-paths.ts";

const paths = new ZookeeperPaths("/weft", "shop");

test("ids and keys are the same again when they are read from a node's name", () => {
  for (const id of ["a", "10.0.0.1:9000", "[::1]:9000", "svc/h@x", "a_b-c.d"]) {
    const name = nameIn(paths.endpoints, paths.endpoint(id)) ?? "";
    assert.ok(!name.includes("/"));
    assert.equal(idOfName(name), id);
  }
  for (const key of ["leader", "revisions/41", "a/b/c/d"])
    assert.equal(keyOfName(nameIn(paths.store, paths.value(key)) ?? ""), key);
});

test("what belongs to another folder, or was made by others, has no name", () => {
  assert.equal(nameIn(paths.endpoints, paths.endpoints), null);
  assert.equal(nameIn(paths.endpoints, "/weft/shop/endpointsx/a"), null);
  assert.equal(idOfName("100%"), null);
});

test("where deletions are counted is among what is made", () => {
  for (let i = 0; i < 100; i++) assert.ok(paths.folders.includes(paths.deletionsOf(paths.endpoint(`id-${i}`))));
});
