import assert from "node:assert/strict";
import test from "node:test";
import { startControlPlane } from "../../src/control/control-plane.ts";
import { createMemoryRegistry } from "../../src/drivers/memory/memory-registry.ts";
import { MemoryKeyValue } from "../../src/settings/memory-key-value.ts";

/** Answers a turn of the loop later, as one elsewhere does. */
class Elsewhere extends MemoryKeyValue {
  override async put(...asked: Parameters<MemoryKeyValue["put"]>): Promise<string | null> {
    await new Promise((resolve) => setTimeout(resolve, 20));
    return super.put(...asked);
  }
}

test("what is registered by Consul's API while others ask is what was sent", async () => {
  const plane = await startControlPlane({
    registry: createMemoryRegistry(),
    store: new Elsewhere(),
    consul: { host: "127.0.0.1", port: 0 },
  });
  try {
    const url = `http://127.0.0.1:${plane.consul?.port}/v1`;
    const names = Array.from({ length: 12 }, (_, i) => `service-${i}`);
    const put = (name: string, i: number) =>
      fetch(`${url}/agent/service/register`, { method: "PUT", body: JSON.stringify({ Name: name, Port: 80 + i }) });
    const answers = await Promise.all(names.map(put));
    for (const answer of answers) assert.equal(answer.status, 200, await answer.text());
    const services = (await (await fetch(`${url}/catalog/services`)).json()) as object;
    assert.deepEqual(
      Object.keys(services)
        .filter((name) => name.startsWith("service-"))
        .sort(),
      [...names].sort(),
    );
  } finally {
    await plane.stop();
  }
});
