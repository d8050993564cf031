import { join } from "node:path";
import { startControlPlane } from "../../src/control/control-plane.ts";
import { type Clock, systemClock } from "../../src/core/clock.ts";
import { openSqliteKeyValue } from "../../src/drivers/sqlite/sqlite-key-value.ts";
import { openSqliteRegistry } from "../../src/drivers/sqlite/sqlite-registry.ts";

/** A control plane over SQLite in the folder and at the port that it is given, whose wall clock jumps by what it is told. */
const [, , folder, port, operatorToken] = process.argv;
let jumpMs = 0;
process.on("message", (ms: number) => {
  jumpMs = ms;
});
process.on("disconnect", () => process.exit());
const clock: Clock = { ...systemClock, wallMs: () => Date.now() + jumpMs };
await startControlPlane({
  registry: await openSqliteRegistry({ file: join(folder, "registry.db"), clock }),
  store: await openSqliteKeyValue({ file: join(folder, "store.db") }),
  dataDir: folder,
  port: Number(port),
  defaultTtlMs: 3_000,
  health: { defaults: { kind: "ttl" } },
  identity: { operatorToken },
  clock,
});
process.send?.("ready");
