import assert from "node:assert/strict";
import { test } from "node:test";
import { startControlPlane } from "../../control/control-plane.ts";
import { createMemoryRegistry } from "../../drivers/memory/memory-registry.ts";
import { createLink } from "../../link/link.ts";
import { createPolicyRuntime } from "../../policy/snapshot/create-runtime.ts";
import { EXIT } from "../exit-status.ts";
import { weft } from "../weft.case.ts";

test("the picture of a running system as text and as JSON, of all services or of some", async (t) => {
  const plane = await startControlPlane({ registry: createMemoryRegistry(), health: { defaults: { kind: "ttl" } } });
  t.after(() => plane.stop());
  const policy = createPolicyRuntime();
  const part = { process: "orders-1", service: "orders", role: "service" } as const;
  const link = createLink({ address: plane.address, policy, ...part });
  t.after(() => link.close());
  const rest = { host: "127.0.0.1", port: 9_001, version: "v1", zone: "", weight: 1, protocol: "h2c", metadata: {} };
  const endpoint = { id: "orders-1", service: "orders", ...rest } as const;
  await link.register({ endpoint: { ...endpoint, protocol: "h2c" }, contracts: [], descriptors: null });
  const text = await weft("mesh", "--control", plane.address, "--timeout", "10000");
  assert.equal(text.status, EXIT.ok);
  assert.match(text.stdout, /^revision 0 {3}1 data plane, 1 enforces it {3}1 service {3}nothing is wrong$/m);
  assert.match(text.stdout, /^orders +v1 +1\/1 +0\/1 +permissive$/m);
  assert.match(text.stdout, /^orders-1 +service +orders /m);
  const json = await weft("mesh", "--control", plane.address, "--json", "--service", "other", "--timeout", "0");
  const { revision, nodes, planes } = JSON.parse(json.stdout);
  assert.deepEqual([revision, nodes, planes], [0, [], []]);
});

test("a control plane that is not there is said to be not there", async () => {
  const { status, stderr } = await weft("mesh", "--control", "127.0.0.1:1");
  assert.equal(status, EXIT.failed);
  assert.match(stderr, /the control plane at 127\.0\.0\.1:1 cannot be asked/);
});
