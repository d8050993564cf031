import { type Command, Option } from "commander";
import { addAccessCommands } from "./access-commands.ts";
import { count, serviceName } from "./arguments.ts";
import { asking } from "./control-options.ts";
import type { Terminal } from "./terminal.ts";

/** `weft token` and `weft ca`. */
export function addIdentityCommands(program: Command, terminal: Terminal): void {
  const load = () => import("./commands/identity.ts");

  const token = program
    .command("token")
    .summary("make join tokens and admin tokens")
    .description("Makes what processes join the mesh by, and what people and programs ask the control plane by.");
  asking(
    token
      .command("create")
      .summary("make a join token")
      .description("Prints a join token for WEFT_JOIN_TOKEN of a process of SERVICE. It is a secret.")
      .argument("<service>", 'who joins by it; "gateway" for a gateway', serviceName),
  )
    .addOption(new Option("--ttl <seconds>", "how long it holds").argParser(count).default(3_600))
    .addOption(new Option("--uses <n>", "how many processes may join by it").argParser(count).default(1))
    .addHelpText("after", TOKEN_HELP)
    .action(async (service, options) => (await load()).createToken(service, options, terminal));

  addAccessCommands(program, token, terminal);

  const ca = program.command("ca").summary("look at the certificate authority, rotate its root");
  ca.description("The certificate authority of a system: docs/identity.md.");
  asking(
    ca
      .command("status")
      .summary("show its roots")
      .description("Shows the authority's roots, and what happens to each next."),
  )
    .option("--json", "print JSON", false)
    .action(async (options) => (await load()).authorityStatus(options, terminal));
  asking(
    ca
      .command("rotate")
      .summary("replace its root")
      .description(
        "Begins to replace the root: a new one is trusted by everybody first, then signs; later the old one is dropped. No connection is closed for it.",
      ),
  ).action(async (options) => (await load()).rotateAuthority(options, terminal));
}

const TOKEN_HELP = `
Examples:
  weft token create orders                       of the system that runs here
  WEFT_JOIN_TOKEN=$(weft token create orders --control 127.0.0.1:7070 --data /var/lib/weft) \\
    weft sidecar --service orders --app 3000 --control 127.0.0.1:7070`;
