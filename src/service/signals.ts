import type { Runtime } from "./runtime.ts";
import type { Server } from "./serve.ts";

/** The servers that a signal stops, by runtime. Signals belong to the process, so this does too. */
const served = new WeakMap<Runtime, Set<Server>>();

/**
 * SIGTERM and SIGINT stop every server of the runtime, then the runtime, and end the process with status 0; a second signal ends it at once, with the
 * status that the signal would have had. A supervisor that goes away (its channel closes) is a signal too: nothing is left running.
 */
export function stopOnSignals(server: Server, runtime: Runtime): void {
  const known = served.get(runtime);
  if (known !== undefined) {
    known.add(server);
    return;
  }
  const servers = new Set([server]);
  served.set(runtime, servers);
  let stopping = false;
  const stop = (status: number): void => {
    if (stopping) process.exit(status);
    stopping = true;
    Promise.all([...servers].map((each) => each.stop()))
      .then(() => runtime.close())
      .then(
        () => process.exit(0),
        (thrown) => {
          console.error("stopping failed:", thrown);
          process.exit(1);
        },
      );
  };
  process.on("SIGTERM", () => stop(143));
  process.on("SIGINT", () => stop(130));
  if (process.send !== undefined) process.on("disconnect", () => stop(1));
}
