import { dirname, join, resolve } from "node:path";
import { WeftError } from "../../core/errors.ts";
import { formatMs } from "../../host/format-ms.ts";
import { createHostClient, type HostClient } from "../../host/host-client.ts";
import { findDescription, shownPath } from "../../host/load-system.ts";
import { type RunFile, readRunFile } from "../../host/run-file.ts";
import { formatColumns } from "../columns.ts";
import { sanitize, type Terminal } from "../terminal.ts";

export interface DirFlags {
  dir: string;
  state?: string;
}

/** The run file of a running system. Throws `not_found` when none runs there. */
export function runningSystem(flags: DirFlags): RunFile {
  const folder = stateDirOf(flags);
  const run = readRunFile(folder);
  if (run !== null) return run;
  const where = flags.state ?? shownPath(dirname(folder));
  const how = flags.state === undefined && where !== "." ? `weft up ${where}` : "weft up";
  throw new WeftError("not_found", `no system runs in ${where}; start it with: ${how}`, { reason: "NOT_RUNNING" });
}

export function stateDirOf({ dir, state }: DirFlags): string {
  if (state !== undefined) return resolve(state);
  try {
    return join(dirname(findDescription(resolve(dir))), ".weft");
  } catch (thrown) {
    if (!(thrown instanceof WeftError) || thrown.reason !== "NO_SYSTEM") throw thrown;
    const message = `${shownPath(dir)} has no weft.config.ts; name the folder of the running system with --dir`;
    throw new WeftError("not_found", message, { reason: "NO_SYSTEM", cause: thrown });
  }
}

function hostOf(flags: DirFlags): { run: RunFile; host: HostClient } {
  const run = runningSystem(flags);
  return { run, host: createHostClient(run) };
}

export async function ps(flags: DirFlags & { json: boolean }, terminal: Terminal): Promise<void> {
  const { run, host } = hostOf(flags);
  const status = await host.status();
  if (flags.json) {
    terminal.out(`${JSON.stringify({ system: run.system, ...status }, null, 2)}\n`);
    return;
  }
  const { green, yellow, red, dim, bold } = terminal.color;
  const rows = status.instances.map((instance) => {
    const health = instance.state === "ready" ? (instance.health ?? "unregistered") : instance.state;
    const style = health === "healthy" ? green : instance.state === "backoff" ? red : yellow;
    return [
      { text: instance.id, style: bold },
      { text: instance.version },
      { text: health, style },
      { text: formatMs(instance.sinceMs) },
      { text: String(instance.restarts), style: instance.restarts > 0 ? yellow : undefined },
      { text: instance.address },
      { text: instance.pid === 0 ? "" : String(instance.pid) },
      { text: instance.lastReason, style: dim },
    ];
  });
  const titles = ["INSTANCE", "VERSION", "HEALTH", "SINCE", "RESTARTS", "ADDRESS", "PID", "LAST EXIT"].map((title) => ({
    title,
  }));
  terminal.out(`${formatColumns(titles, rows, dim).join("\n")}\n`);
}

export async function logs(
  name: string,
  flags: DirFlags & { follow: boolean; lines: number },
  terminal: Terminal,
): Promise<void> {
  const { host } = hostOf(flags);
  const abort = new AbortController();
  process.once("SIGINT", () => abort.abort());
  try {
    for await (const text of host.logs(name, { ...flags, signal: abort.signal })) {
      terminal.out(
        terminal.interactive
          ? text
              .split("\n")
              .map((line) => sanitize(line, true))
              .join("\n")
          : text,
      );
    }
  } catch (error) {
    if (!abort.signal.aborted) throw error;
  }
}

export async function restart(name: string, flags: DirFlags, terminal: Terminal): Promise<void> {
  const { host } = hostOf(flags);
  const started = performance.now();
  await host.restart(name);
  terminal.out(`replaced every instance of ${name} in ${formatMs(performance.now() - started)}\n`);
}

export async function stop(flags: DirFlags & { kill: boolean }, terminal: Terminal): Promise<void> {
  const { run, host } = hostOf(flags);
  await host.stop();
  if (flags.kill) await host.stop().catch(() => {}); // it may be gone by now
  // It removes its run file last; one that was killed meanwhile leaves it behind.
  while (readRunFile(stateDirOf(flags))?.pid === run.pid) await new Promise((resolve) => setTimeout(resolve, 50));
  terminal.out(`${run.system} has stopped\n`);
}
