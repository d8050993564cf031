import { EXIT } from "./exit-status.ts";
import { endStart } from "./heap.ts";

/**
 * To be called when a command has started all it runs: ends that (endStart). Runs until SIGINT or SIGTERM, or until the parent that started this process
 * with a channel is gone; then `stop` drains. A second signal ends the process at once. Resolves to the exit status.
 */
export function untilStopped(stop: () => Promise<void>): Promise<number> {
  endStart();
  return new Promise((resolve, reject) => {
    let stopping = false;
    const end = (): void => {
      if (stopping) process.exit(EXIT.killed);
      stopping = true;
      stop().then(() => {
        if (process.connected) process.disconnect();
        resolve(EXIT.ok);
      }, reject);
    };
    process.on("SIGINT", end);
    process.on("SIGTERM", end);
    process.on("disconnect", () => {
      if (!stopping) end();
    });
  });
}

/** Tells the host, when there is one, where this process listens (ListeningMessage of host/host.ts). */
export function tellHost(url: string, admin: string, more: { readonly outbound?: string } = {}): boolean {
  if (process.send === undefined) return false;
  process.send({ type: "weft:listening", url, admin, ...more });
  return true;
}
