import { Admin } from "../../contract/gen/weft/control/v1/control.ts";
import type { Topology } from "../../contract/gen/weft/control/v1/mesh.ts";
import { cannotAsk } from "../ask-control.ts";
import { controlAddress } from "../control-address.ts";
import { controlClient } from "../control-client.ts";
import { EXIT } from "../exit-status.ts";
import { jsonOf } from "../json-of.ts";
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
      throw cannotAsk(address, thrown);
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
  // Watched, each is a line of its own, for whoever reads them as they come.
  return jsonOf(topology, watch ? 0 : 2);
}

const EVERY_MS = 1_000;
