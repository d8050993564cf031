/** What kill.test.ts kills: `control FOLDER PORT`, `service CONTROL_ADDRESS` (registers alpha-1), or `client CONTROL_ADDRESS STATE_FILE` (follows alpha). Says its address, or whom it knows, when it is ready. */

import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { join } from "node:path";
import { startControlPlane } from "../../src/control/control-plane.ts";
import { openSqliteKeyValue } from "../../src/drivers/sqlite/sqlite-key-value.ts";
import { openSqliteRegistry } from "../../src/drivers/sqlite/sqlite-registry.ts";
import { createLink } from "../../src/link/link.ts";
import { createPolicyRuntime } from "../../src/policy/snapshot/create-runtime.ts";
import { registrationOf } from "./world.ts";

const [role, where, port] = process.argv.slice(2);
const stateFile = port;
if (role === "control") {
  const plane = await startControlPlane({
    registry: await openSqliteRegistry({ file: join(where, "registry.db") }),
    store: await openSqliteKeyValue({ file: join(where, "store.db") }),
    dataDir: where,
    port: Number(port),
    defaultTtlMs: 2_000,
    health: { defaults: { kind: "ttl" } },
  });
  console.log(plane.address);
} else if (role === "client") {
  const policy = createPolicyRuntime();
  const link = createLink({ address: where, policy, stateFile });
  await link.subscribe("alpha", 5_000);
  const known = () => policy.describe("alpha", 0).map(({ endpoint }) => endpoint.id);
  while (known().length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  console.log(`${known().sort().join(" ")} at revision ${policy.revision}`);
} else {
  const server = createServer((socket) => socket.on("error", () => socket.destroy()));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const link = createLink({ address: where, policy: createPolicyRuntime() });
  await link.register(registrationOf("alpha", 1, { port: (server.address() as AddressInfo).port }));
  console.log("registered");
}
