import { openConsulRegistry } from "../../src/drivers/consul/consul-registry.ts";
import { registryFaults } from "../registry-faults.ts";
import { ConsulServer } from "./server.ts";

registryFaults("consul", {
  server: () => ConsulServer.start(),
  url: (address) => `consul://${address}`,
  open: openConsulRegistry,
  kept,
});

/** What Consul's store has, without the marks of what was removed. */
async function kept(address: string, system: string): Promise<string[]> {
  const answer = await fetch(`http://${address}/v1/kv/weft/${system}/registry/endpoints/?recurse&consistent`, {
    signal: AbortSignal.timeout(2_000),
  });
  if (answer.status === 404) return [];
  const items = (await answer.json()) as { Key: string; Value: string }[];
  const there = items.filter(({ Value }) => JSON.parse(Buffer.from(Value, "base64").toString()).removed !== true);
  return there.map(({ Key }) => Key.split("/").at(-1) ?? "");
}
