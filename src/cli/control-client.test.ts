import assert from "node:assert/strict";
import { test } from "node:test";
import { Admin } from "../contract/gen/weft/control/v1/control.ts";
import { type ControlPlane, startControlPlane } from "../control/control-plane.ts";
import { toWeftError } from "../core/errors.ts";
import { createMemoryRegistry } from "../drivers/memory/memory-registry.ts";
import { controlClient } from "./control-client.ts";

test("a tool asks one control plane of several, and another one when that is gone", async () => {
  const planes: ControlPlane[] = [];
  for (let n = 0; n < 2; n++) planes.push(await startControlPlane({ registry: createMemoryRegistry() }));
  const { client, close } = await controlClient(
    Admin,
    ["127.0.0.1:1", ...planes.map(({ address }) => address)].join(","),
  );
  const { epoch } = await client.getStatus({});
  const epochs: string[] = [];
  for (const { address } of planes) {
    const one = await controlClient(Admin, address);
    epochs.push((await one.client.getStatus({})).epoch);
    await one.close();
  }
  const used = epochs.indexOf(epoch);
  assert.notEqual(used, -1);
  await planes[used].stop();
  assert.equal((await client.getStatus({})).epoch, epochs[1 - used]);
  await planes[1 - used].stop();
  // What changes something is never asked twice: whoever asked it has to know.
  const failure = await client.publishRevision({ resources: "[]" }).catch(toWeftError);
  assert.ok("code" in failure && failure.code === "unavailable");
  await close();
});

test("a list that is none is refused", async () => {
  for (const address of ["", "a:1,a:1", "nowhere"]) {
    const thrown = await controlClient(Admin, address).then(() => null, toWeftError);
    assert.equal(thrown?.code, "invalid_argument");
  }
});
