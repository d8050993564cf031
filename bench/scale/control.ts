import { startControlPlane } from "../../src/control/control-plane.ts";
import { createMemoryRegistry } from "../../src/drivers/memory/memory-registry.ts";
import { ENDPOINTS, endpoint, now, SERVICES, type Told } from "./system.ts";

/** The control plane in a process of its own, so that what it costs is its own: told by messages to register, and to say what it has used. */
const HOUR_MS = 3_600_000;
const registry = createMemoryRegistry();
const plane = await startControlPlane({ registry, health: { defaults: { kind: "ttl" } }, defaultTtlMs: 60_000 });
for (let service = 0; service < SERVICES; service++)
  for (let n = 0; n < ENDPOINTS; n++) await registry.register(endpoint(service, n), HOUR_MS);

let highest = 0;
setInterval(() => {
  highest = Math.max(highest, process.memoryUsage.rss());
}, 100).unref();
process.on("message", (asked: number | "usage" | "end") => {
  if (asked === "end") void plane.stop().then(() => process.exit(0));
  else if (asked === "usage") {
    const { user, system } = process.cpuUsage();
    const rss = Math.max(highest, process.memoryUsage.rss());
    highest = 0;
    process.send?.({
      kind: "usage",
      plane: 0,
      value: 0,
      at: now(),
      cpuMs: (user + system) / 1_000,
      rss,
    } satisfies Told);
  } else void registry.register(endpoint(0, 0, asked), HOUR_MS);
});
process.send?.(plane.address);
