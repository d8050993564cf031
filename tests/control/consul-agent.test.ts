import assert from "node:assert/strict";
import { test } from "node:test";
import { ConsulAgent } from "../../src/control/consul-api/consul-agent.ts";
import { ConsulView } from "../../src/control/consul-api/consul-view.ts";
import { parseRegistration } from "../../src/control/consul-api/registration.ts";
import { VirtualClock } from "../../src/core/clock.ts";
import { createMemoryRegistry } from "../../src/drivers/memory/memory-registry.ts";
import type { Registry } from "../../src/registry/registry.ts";

async function agentOf(registry: Registry, clock: VirtualClock): Promise<{ agent: ConsulAgent; view: ConsulView }> {
  const view = new ConsulView({ registry, clock });
  await view.start();
  const agent = new ConsulAgent({ registry, view, clock, checkMessage: () => "", onError: assert.fail });
  return { agent, view };
}

/** "web" with these TTL checks, of 10 s each, that pass. */
function web(...checks: string[]) {
  const Checks = checks.map((CheckID) => ({ CheckID, TTL: "10s", Status: "passing" }));
  return parseRegistration({ Name: "web", Port: 80, Checks }, { node: "", address: "10.0.0.1" });
}

async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}

test("a check that passes at another control plane by now is not overdue at the one that it passed at before", async () => {
  const clock = new VirtualClock();
  const registry = createMemoryRegistry({ clock });
  const [one, other] = [await agentOf(registry, clock), await agentOf(registry, clock)];
  const healthNow = async (): Promise<string> => (await registry.query(["web"])).endpoints[0].health;
  await one.agent.register(web("beat"));
  await turns();
  // To and fro, as who finds one of them away for a moment.
  for (const { agent } of [other, other, other, one, one, one, other, one, other, one]) {
    clock.advance(6_000);
    await turns();
    assert.equal(await healthNow(), "healthy");
    await agent.update("beat", "passing", "");
    await turns();
    assert.equal(await healthNow(), "healthy");
  }
  clock.advance(10_100);
  await turns();
  assert.equal(await healthNow(), "unhealthy");
  for (const { agent } of [one, other]) agent.close();
  await registry.close();
});

test("a check that passes while something else of its service is done is not overdue after that", async () => {
  const clock = new VirtualClock();
  const memory = createMemoryRegistry({ clock });
  let goOn = (): void => {};
  const slow: Registry = Object.create(memory, {
    setHealth: {
      value: async (...given: Parameters<Registry["setHealth"]>) => {
        await new Promise<void>((resolve) => {
          goOn = resolve;
        });
        return memory.setHealth(...given);
      },
    },
    register: { value: memory.register.bind(memory) },
    watch: { value: memory.watch.bind(memory) },
  });
  const { agent, view } = await agentOf(slow, clock);
  await agent.register(web("beat", "disk"));
  await turns();
  clock.advance(9_000);
  const failing = agent.update("disk", "critical", "full");
  const passing = agent.update("beat", "passing", "");
  await turns();
  clock.advance(2_000); // the period before that pass is over
  goOn();
  await Promise.all([failing, passing]);
  await turns();
  const [endpoint] = view.of("web");
  const found = agent.checkById("beat");
  assert.ok(found !== null);
  assert.equal(agent.statusOf(endpoint, found.check).status, "passing");
  agent.close();
  await memory.close();
});
