import { EXIT } from "./exit-status.ts";
import { endStart } from "./heap.ts";

/**
 * To be called when a command has started all it runs: ends the start (endStart), or does so when `started` resolves, for which it does not wait long. Runs until
 * SIGINT or SIGTERM, or until the parent that started this process with a channel is gone; then `stop` drains. A second signal ends the process at once. Resolves
 * to the exit status.
 */
export function untilStopped(stop: () => Promise<void>, started?: Promise<void>): Promise<number> {
  if (started === undefined) endStart();
  else
    void Promise.race([started, new Promise<void>((over) => void setTimeout(over, START_MS).unref())]).then(endStart);
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

const START_MS = 10_000;
