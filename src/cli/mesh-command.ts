import type { Command } from "commander";
import { count, inDir } from "./arguments.ts";
import { controlInstead } from "./control-options.ts";
import type { Terminal } from "./terminal.ts";

/** `weft mesh`. */
export function addMeshCommand(program: Command, terminal: Terminal, exit: (status: number) => void): void {
  inDir(
    program
      .command("mesh")
      .summary("show who calls whom, and what every data plane enforces")
      .description(
        "Prints the whole picture of a running system, what is wrong first: calls between services with rates, errors, latencies, the share of each version and of " +
          "mutual TLS over the last ten seconds; services with their endpoints; and of each data plane the revision that it was sent, that it acknowledged, and that " +
          "decides a call made up just now.",
      ),
  )
    .addOption(controlInstead())
    .option(
      "--service <name>",
      "only this service, who calls it and whom it calls; may be repeated",
      (name: string, before: string[]) => [...before, name],
      [],
    )
    .option("-w, --watch", "look again every second, until Ctrl-C", false)
    .option(
      "--timeout <ms>",
      "how long data planes may take to say by what they decide, ms; 0 does not ask",
      count,
      1_000,
    )
    .option("--json", "print JSON (docs/mesh.md); with --watch a line each second", false)
    .addHelpText("after", MESH_HELP)
    .action(async (options) => exit(await (await import("./commands/mesh.ts")).mesh(options, terminal)));
}

const MESH_HELP = `
Examples:
  weft mesh                          everything, once
  weft mesh --watch                  a live table
  weft mesh --service orders --json`;
