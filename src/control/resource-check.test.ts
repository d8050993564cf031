import assert from "node:assert/strict";
import { test } from "node:test";
import { WeftError } from "../core/errors.ts";
import { ResourceChecker } from "./resource-check.ts";

const checkResources: ResourceChecker["check"] = (...given) => new ResourceChecker().check(...given);

const YAML = `apiVersion: weftmesh.dev/v1
kind: TrafficPolicy
metadata: { name: one }
spec: { timeout: 1s }
---
apiVersion: weftmesh.dev/v1
kind: TrafficPolicy
metadata: { name: two }
spec: { targetRefs: [{ kind: Service, name: orders }], timeout: 2s }
`;

test("YAML documents, one JSON resource and a JSON array are all understood, and what comes out goes in again", () => {
  const { resources } = checkResources(YAML, "p.yaml", [], []);
  assert.deepEqual(
    resources.map(({ metadata }) => metadata.name),
    ["one", "two"],
  );
  assert.deepEqual(checkResources(JSON.stringify(resources), "revision 1", [], []).resources, resources);
  assert.deepEqual(checkResources(JSON.stringify(resources[0]), "r", [], []).resources, [resources[0]]);
  assert.deepEqual(checkResources("", "empty", [], []).resources, []);
  assert.deepEqual(checkResources("[]", "revision 0", [], []).resources, []);
});

test("everything that is wrong is said at once, with its line; in arrays too", () => {
  const wrong = YAML.replace("timeout: 1s", "timeout: soon").replace("timeout: 2s", "timeuot: 2s");
  assert.throws(
    () => checkResources(wrong, "p.yaml", [], []),
    (thrown) => {
      assert.ok(thrown instanceof WeftError);
      assert.equal(thrown.code, "invalid_argument");
      assert.match(thrown.message, /p\.yaml:4/);
      assert.match(thrown.message, /p\.yaml:9/);
      return true;
    },
  );
  const array = '[\n{"apiVersion": "weftmesh.dev/v1", "kind": "Nope", "metadata": {"name": "x"}}\n]';
  assert.throws(() => checkResources(array, "p.json", [], []), /p\.json:2/);
  assert.throws(() => checkResources("a: [", "p.yaml", [], []), { code: "invalid_argument" });
});

test("what was right in the last set is right again, and what is new in the next is looked at with it", () => {
  const checker = new ResourceChecker();
  const first = checker.check(YAML, "p.yaml", [], []);
  const same = checker.check(JSON.stringify(first.resources), "r.json", [], []);
  assert.ok(same.resources.every((resource, i) => resource === first.resources[i]));
  assert.deepEqual(same.texts, first.texts);
  const twice = JSON.stringify([...first.resources, first.resources[0]]);
  assert.throws(() => checker.check(twice, "r.json", [], []), /r\.json:1:\d+ metadata\.name: there are two of kind/);
  const wrong = JSON.stringify([...first.resources, { ...first.resources[0], spec: { timeout: "soon" } }]);
  assert.throws(() => checker.check(wrong, "r.json", [], []), /r\.json:1:\d+ spec\.timeout/);
});

test("a key that comes twice in JSON is refused, as it is in YAML", () => {
  const twice = '{"apiVersion":"weftmesh.dev/v1","kind":"TrafficPolicy","metadata":{"name":"a"},"spec":{},"spec":{}}';
  assert.throws(() => checkResources(twice, "r.json", [], []), /r\.json:1:\d+: .*unique/);
});
