import { join } from "node:path";
import { burst } from "./mesh/burst.ts";
import { pause, run, until } from "./mesh/commands.ts";
import { startLoad } from "./mesh/load.ts";
import { keys, picture } from "./mesh/picture.ts";
import { waysIn } from "./mesh/ways-in.ts";
import type { Case, Suite } from "./suite.ts";
import { type PsReport, type RunningSystem, withSystem } from "./system.ts";
import { tool } from "./tools.ts";

/**
 * A Python, a Go, a Java and a TypeScript service in one mesh, one of them behind a stock Envoy: the example's table of results; who calls whom, and what each data plane enforces; a thousand
 * revisions in a minute, and the death of a sidecar, of an Envoy and of the control plane, under load; programs that know nothing, by names and by interception.
 */
export const mesh: Suite = {
  name: "mesh",
  tools: ["envoy", "python", "grpc-peer"],
  async run() {
    process.env.WEFT_ENVOY = tool("envoy");
    const cases = await withSystem("examples/polyglot", async (system) => [
      ...(await table(system)),
      ...(await picture(system)),
      ...(await keys(system)),
      ...(await burst(system)),
      ...(await deaths(system)),
      ...(await replacements(system)),
    ]);
    return [...cases, ...(await waysIn())];
  },
};

const root = join(import.meta.dirname, "..");

async function table(system: RunningSystem): Promise<Case[]> {
  const ps = JSON.stringify(await system.ps());
  const url = `http://${system.gateway.host}:${system.gateway.port}`;
  const { output } = await run("node", [join(root, "examples/polyglot/check.ts"), url], { WEFT_PS: ps });
  const [head, ...rows] = output.split("\n");
  const columns = head.split(/ {2,}/);
  const cases: Case[] = [];
  for (const row of rows.slice(0, 4)) {
    const [service, ...cells] = row.split(/ {2,}(?=ok |WRONG)/);
    for (const [i, cell] of cells.entries())
      cases.push({ name: `${service.trim()}: ${columns[i + 1]}`, ok: cell.startsWith("ok"), detail: cell });
  }
  if (cases.length < 20)
    cases.push({ name: "the table has four services and five columns", ok: false, detail: output.slice(0, 2_000) });
  cases.push({
    name: "every cell is right, and gRPC",
    ok: /every cell is as it should be/.test(output),
    detail: output.slice(-300),
  });
  return cases;
}

/** Calls that are idempotent, from outside through the gateway and between services, while something dies. */
async function deaths(system: RunningSystem): Promise<Case[]> {
  const cases: Case[] = [];
  const kills: [what: string, id: string, path: string][] = [
    ["a sidecar", "catalog-v1-1-sidecar", "/catalog/hello"],
    ["a sidecar, called by a service", "catalog-v1-2-sidecar", "/orders/call?to=catalog&count=10"],
    ["an Envoy", "pricing-1-sidecar", "/pricing/hello"],
    ["an Envoy, called by a service", "pricing-2-sidecar", "/orders/call?to=pricing&count=10"],
    ["the control plane", "control-1", "/orders/call?to=catalog&count=10"],
  ];
  for (const [what, id, path] of kills) {
    const victim = (await system.ps()).instances.find((instance) => instance.id === id);
    if (victim === undefined) {
      cases.push({ name: `kill -9 of ${what}`, ok: false, detail: `there is no ${id}` });
      continue;
    }
    const load = startLoad(system.gateway.port, path);
    await pause(700);
    process.kill(victim.pid, "SIGKILL");
    const back = await until(20_000, async () => {
      const now = (await system.ps().catch((): PsReport | null => null))?.instances.find(
        (instance) => instance.id === id,
      );
      return now !== undefined && now.pid !== victim.pid && now.state === "ready";
    });
    await pause(1_500);
    const { calls, failed } = await load();
    const detail = `${calls} calls; ${failed.slice(0, 3).join("; ")}`;
    cases.push({ name: `kill -9 of ${what}: no idempotent call fails`, ok: calls > 20 && failed.length === 0, detail });
    cases.push({ name: `kill -9 of ${what}: it is started again, alone`, ok: back });
    // Replicas are all there again before the next one dies.
    await until(15_000, async () => (await system.ps()).instances.every(({ state }) => state === "ready"));
    await pause(2_500);
  }
  return cases;
}

/** Instances and sidecars that are replaced one after the other, under load. */
async function replacements(system: RunningSystem): Promise<Case[]> {
  const cases: Case[] = [];
  for (const [unit, path] of [
    ["pricing", "/orders/call?to=pricing&count=5"],
    ["catalog@v2", "/catalog/hello"],
    ["orders", "/orders/hello"],
  ]) {
    const load = startLoad(system.gateway.port, path);
    const { status, output } = await system.weft("restart", unit);
    const { calls, failed } = await load();
    const detail = `${output.trim()}; ${calls} calls; ${failed.slice(0, 3).join("; ")}`;
    cases.push({
      name: `weft restart ${unit}: no call fails`,
      ok: status === 0 && calls > 20 && failed.length === 0,
      detail,
    });
  }
  return cases;
}
