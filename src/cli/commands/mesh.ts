import { Admin } from "../../contract/gen/weft/control/v1/control.ts";
import type { Topology } from "../../contract/gen/weft/control/v1/mesh.ts";
import { WeftError } from "../../core/errors.ts";
import { controlAddress } from "../control-address.ts";
import { controlClient } from "../control-client.ts";
import { EXIT } from "../exit-status.ts";
import { renderMesh } from "../mesh/render-mesh.ts";
import { showScreen } from "../mesh/screen.ts";
import type { Terminal } from "../terminal.ts";
import type { DirFlags } from "./host.ts";

export interface MeshFlags extends DirFlags {
  control?: string;
  service: string[];
  watch: boolean;
  timeout: number;
  json: boolean;
}

/** `weft mesh`: who calls whom, and what every data plane enforces. */
export async function mesh(flags: MeshFlags, terminal: Terminal): Promise<number> {
  const address = controlAddress(flags);
  const { client, close } = await controlClient(Admin, address);
  const ask = async (): Promise<Topology> => {
    try {
      return await client.getTopology({ services: flags.service, probeTimeoutMs: flags.timeout });
    } catch (thrown) {
      if (!(thrown instanceof WeftError) || thrown.code !== "unavailable") throw thrown;
      const message = `the control plane at ${address} cannot be asked: ${thrown.message}`;
      throw new WeftError("unavailable", message, { reason: "CANNOT_ASK", cause: thrown });
    }
  };
  try {
    if (!flags.watch) {
      terminal.out(textOf(await ask(), flags, terminal));
      return EXIT.ok;
    }
    if (terminal.interactive && !flags.json) {
      await showScreen(terminal, async () => renderMesh(await ask(), Date.now(), terminal.color), EVERY_MS);
      return EXIT.ok;
    }
    for (;;) {
      terminal.out(`${textOf(await ask(), flags, terminal)}${flags.json ? "" : "\n"}`);
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
  } finally {
    await close();
  }
}

function textOf(topology: Topology, { json, watch }: MeshFlags, terminal: Terminal): string {
  if (!json) return `${renderMesh(topology, Date.now(), terminal.color).join("\n")}\n`;
  const plain = (key: string, value: unknown): unknown =>
    key.startsWith("$") ? undefined : typeof value === "bigint" ? Number(value) : value;
  // Watched, each is a line of its own, for whoever reads them as they come.
  return `${JSON.stringify(topology, plain, watch ? 0 : 2)}\n`;
}

const EVERY_MS = 1_000;
