import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { startControlPlane } from "../control/control-plane.ts";
import { createMemoryRegistry } from "../drivers/memory/memory-registry.ts";
import { weft } from "./weft.case.ts";

const policy = (mtls: string) => `apiVersion: weftmesh.dev/v1
kind: TrafficPolicy
metadata: { name: orders }
spec:
  targetRefs: [{ kind: Service, name: orders }]
  mtls: ${mtls}
`;

test("files of resources are checked, published once, and only told of on request", async (t) => {
  const operatorToken = "operator-token-of-a-test-0123456789abcdef";
  const plane = await startControlPlane({ registry: createMemoryRegistry(), identity: { operatorToken } });
  t.after(() => plane.stop());
  const before = process.env.WEFT_OPERATOR_TOKEN;
  process.env.WEFT_OPERATOR_TOKEN = operatorToken;
  const folder = mkdtempSync(join(tmpdir(), "weft-publish-"));
  t.after(() => {
    rmSync(folder, { recursive: true });
    if (before === undefined) delete process.env.WEFT_OPERATOR_TOKEN;
    else process.env.WEFT_OPERATOR_TOKEN = before;
  });
  const file = join(folder, "orders.yaml");
  const publish = (...more: string[]) => weft("publish", folder, "--control", plane.address, ...more);

  writeFileSync(file, policy("strickt"));
  const wrong = await publish();
  assert.equal(wrong.status, 1);
  assert.match(wrong.stderr, /orders\.yaml:6:9 spec\.mtls: /);

  writeFileSync(file, policy("strict"));
  assert.match((await publish("--dry-run")).stdout, /nothing was published\n$/);
  assert.deepEqual(await publish(), {
    status: 0,
    stdout: "published revision 1; in force at 0 of 0 data planes\n",
    stderr: "",
  });
  assert.match((await publish()).stdout, /^revision 1 says the same; nothing was published/);
  writeFileSync(file, policy("off"));
  const { revision, author, reason } = JSON.parse((await publish("--json", "-m", "why", "--author", "ada")).stdout);
  assert.deepEqual([revision, author, reason], [2, "ada", "why"]);
});
