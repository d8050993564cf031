import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { startControlPlane } from "../../control/control-plane.ts";
import { createMemoryRegistry } from "../../drivers/memory/memory-registry.ts";
import { openSqliteRegistry } from "../../drivers/sqlite/sqlite-registry.ts";
import type { Terminal } from "../terminal.ts";
import { tellHost, untilStopped } from "../until-stopped.ts";
import { packageVersion } from "../version.ts";

export interface ControlFlags {
  listen: { host: string; port: number };
  data?: string;
  system: string;
}

/** File of the registry within the control plane's folder. */
export const REGISTRY_FILE = "registry.db";

export async function control(flags: ControlFlags, terminal: Terminal): Promise<number> {
  const dataDir = flags.data === undefined ? "" : resolve(flags.data);
  if (dataDir !== "") mkdirSync(dataDir, { recursive: true });
  const onError = (error: Error): void => terminal.err(`registry: ${error.message}\n`);
  const registry =
    dataDir === "" ? createMemoryRegistry() : await openSqliteRegistry({ file: join(dataDir, REGISTRY_FILE), onError });
  const plane = await startControlPlane({ registry, dataDir, ...flags.listen, version: packageVersion() });
  const url = `http://${plane.address}`;
  if (!tellHost(url, url))
    terminal.out(
      `control plane${flags.system === "" ? "" : ` of ${flags.system}`} at ${plane.address}; for processes: WEFT_CONTROL=${plane.address}\n`,
    );
  return untilStopped(() => plane.stop());
}
