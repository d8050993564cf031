import { seededRandom } from "../../src/core/random.ts";
import { createLink } from "../../src/link/link.ts";
import type { Link } from "../../src/link/types.ts";
import type { Resource } from "../../src/policy/resource/resources.ts";
import { createPolicyRuntime } from "../../src/policy/snapshot/create-runtime.ts";
import { GATEWAYS, now, PLANES, SERVICES, type Told, USED } from "./system.ts";

/** Every `of`th of weft's own data planes, from `index`; they tell what reaches them. Arguments: the control plane's address, `index`, `of`. */
const [address, first, of] = process.argv.slice(2);
const tell = (told: Told): void => void process.send?.(told);
const lines: { link: Link; held: () => void }[] = [];
process.on("message", (asked) => {
  if (asked === "held") for (const { held } of lines) held();
  else void Promise.all(lines.map(({ link }) => link.close())).then(() => process.exit(0));
});
for (let plane = Number(first); plane < PLANES; plane += Number(of)) {
  const random = seededRandom(plane + 1);
  const gateway = plane < GATEWAYS;
  const policy = createPolicyRuntime({ random });
  let held: readonly Resource[] = [];
  const told = (revision: number): void => tell({ kind: "revision", plane, value: revision, at: now() });
  const { applyResources, applyEndpoints, advanceRevision } = policy;
  policy.applyResources = (revision, resources, methods) => {
    applyResources.call(policy, revision, resources, methods);
    held = resources;
    told(revision);
  };
  policy.advanceRevision = (revision) => {
    advanceRevision.call(policy, revision);
    told(revision);
  };
  policy.applyEndpoints = (delta) => {
    applyEndpoints.call(policy, delta);
    const marked = delta.changed.find(({ id }) => id === "service-0-0");
    if (marked !== undefined) tell({ kind: "endpoint", plane, value: marked.port, at: now() });
  };
  const role = gateway ? "gateway" : "sidecar";
  const own = `service-${Math.floor(random.next() * SERVICES)}`;
  const service = gateway ? "" : own;
  const link = createLink({ address, policy, process: `${role}-${plane}`, role, service, onError: console.error });
  const used = new Set(gateway ? ["*"] : ["service-0"]);
  while (!gateway && used.size < USED) used.add(`service-${Math.floor(random.next() * SERVICES)}`);
  await Promise.all(Array.from(used, (name) => link.subscribe(name, 60_000)));
  tell({ kind: "ready", plane, value: used.size, at: now() });
  lines.push({
    link,
    held: () => {
      const services = new Set<string>();
      for (const name of Array.from({ length: SERVICES }, (_, i) => `service-${i}`))
        if (policy.describe(name, 0).length > 0) services.add(name);
      tell({ kind: "held", plane, value: policy.revision, at: 0, resources: held.length, services: services.size });
    },
  });
}
