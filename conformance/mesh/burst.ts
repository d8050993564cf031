import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createDirectClient } from "../../src/call/direct.ts";
import { Admin } from "../../src/contract/gen/weft/control/v1/control.ts";
import type { Case } from "../suite.ts";
import type { RunningSystem } from "../system.ts";
import { pause, until } from "./commands.ts";
import { startLoad } from "./load.ts";

const REVISIONS = 1_000;
const MINUTE_MS = 60_000;
const tokenFile = join(import.meta.dirname, "..", "..", "examples", "polyglot", ".weft", "control", "operator-token");

/** Publications that are under way: nobody waits for everybody else. */
const AT_ONCE = 4;
/** Of a machine that others use as well: what the pace costs is a claim of the bench `mesh-scale`. */
const MOST_SECONDS = 240;

/** A thousand revisions at the pace of a minute, each of which changes how calls are made, while calls are made. */
export async function burst(system: RunningSystem): Promise<Case[]> {
  const { control } = await system.ps();
  const { client: admin, close } = createDirectClient(Admin, new URL(control).host);
  const metadata = { authorization: `Bearer ${readFileSync(tokenFile, "utf8").trim()}` };
  const publish = async (resources: readonly unknown[]): Promise<bigint> =>
    (
      await admin.publishRevision(
        { resources: JSON.stringify(resources), source: "suite", author: "suite" },
        { metadata },
      )
    ).revision;
  try {
    const before = JSON.parse((await admin.getRevision({}, { metadata })).resources) as unknown[];
    const paths = ["/catalog/hello", "/orders/call?to=pricing&path=/flaky&count=5", "/pricing/call?to=catalog&count=5"];
    const loads = paths.map((path) => startLoad(system.gateway.port, path, 1));
    const began = performance.now();
    let last = 0n;
    const under: Promise<unknown>[] = [];
    for (let i = 0; i < REVISIONS; i++) {
      const published = publish([...before, traffic("pricing", 20_000 + i), traffic("catalog", 20_000 + i)]);
      const acknowledged = published.then((revision) => (last = revision > last ? revision : last));
      acknowledged.catch(() => {}); // it is looked at later
      under.push(acknowledged);
      if (under.length >= AT_ONCE) await under.shift();
      await pause(Math.max(0, began + ((i + 1) * MINUTE_MS) / REVISIONS - performance.now()));
    }
    await Promise.all(under);
    const seconds = (performance.now() - began) / 1_000;
    const enforced = async () => (await admin.getTopology({ probeTimeoutMs: 2_000 }, { metadata })).planes;
    const followed = await until(20_000, async () =>
      (await enforced()).every((plane) => plane.acknowledged === last && plane.enforced === last),
    );
    const counts = await Promise.all(loads.map((load) => load()));
    const planes = await enforced();
    await publish(before);
    const name = `${REVISIONS} revisions, paced by the minute`;
    console.log(`  ${REVISIONS} revisions under load: ${seconds.toFixed(1)} s`);
    const failed = counts.flatMap((count) => count.failed);
    const calls = counts.map((count) => count.calls);
    return [
      { name: `${name}: they are published`, ok: seconds < MOST_SECONDS, detail: `${seconds.toFixed(1)} s` },
      {
        name: `${name}: no call fails, through sidecars, Envoys and the gateway`,
        ok: failed.length === 0 && calls.every((made) => made > 100),
        detail: `${calls} calls, ${failed.length} failed: ${failed.slice(0, 3).join("; ")}`,
      },
      {
        name: `${name}: every data plane enforces the last one`,
        ok: followed && planes.length >= 8,
        detail: planes
          .map(({ process, acknowledged, enforced }) => `${process} ${acknowledged} ${enforced}`)
          .join(", "),
      },
    ];
  } finally {
    await close();
  }
}

function traffic(service: string, ms: number): object {
  return {
    apiVersion: "weftmesh.dev/v1",
    kind: "TrafficPolicy",
    metadata: { name: `${service}-burst` },
    spec: { targetRefs: [{ group: "", kind: "Service", name: service }], timeout: `${ms}ms` },
  };
}
