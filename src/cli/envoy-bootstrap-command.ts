import { type Command, Option } from "commander";
import { address, serviceName } from "./arguments.ts";
import { controlRequired } from "./control-options.ts";
import type { Terminal } from "./terminal.ts";

/** `weft envoy-bootstrap`. */
export function addEnvoyBootstrapCommand(program: Command, terminal: Terminal): void {
  program
    .command("envoy-bootstrap")
    .summary("print what a stock Envoy is started with to join the mesh")
    .description(
      "Prints a bootstrap for a stock Envoy, which becomes a gateway or the sidecar of a service by it: everything else it takes from the control plane, and " +
        "follows from then on. What it prints is secret when there is a join token: keep it where only Envoy reads it.",
    )
    .addOption(new Option("--service <name>", "be the sidecar of an instance of this service").argParser(serviceName))
    .option("--gateway", "be a gateway", false)
    .addOption(controlRequired())
    .addOption(
      new Option(
        "--listen <address>",
        "where calls come in: those for the application, or a gateway's (default: 0.0.0.0:8080 of a gateway)",
      ).argParser(address),
    )
    .addOption(new Option("--app <address>", "where the application listens: PORT or HOST:PORT").argParser(address))
    .addOption(new Option("--outbound <address>", "where the application's own calls are taken").argParser(address))
    .addOption(
      new Option(
        "--admin <address>",
        "Envoy's own administration interface, unix:FILE (its owner's alone) or an address, where everybody on the machine can read the join token; default: none",
      ).argParser((text) => (text.startsWith("unix:") ? { path: text.slice("unix:".length) } : address(text))),
    )
    .addOption(
      new Option("--instance <id>", "which instance it is (WEFT_INSTANCE); default: made of service and host").env(
        "WEFT_INSTANCE",
      ),
    )
    .addOption(
      new Option("--service-version <version>", "version of the application (WEFT_VERSION)")
        .env("WEFT_VERSION")
        .default("", "none"),
    )
    .addOption(new Option("--zone <zone>", "where it stands (WEFT_ZONE)").env("WEFT_ZONE").default("", "none"))
    .option("--token-file <file>", "file with the join token (default: WEFT_JOIN_TOKEN)")
    .option(
      "--no-register",
      "somebody else registers its endpoint; otherwise the control plane does while it is attached",
    )
    .option("--sotw", "take whole states instead of changes (delta)", false)
    .option("--json", "print JSON instead of YAML", false)
    .addHelpText("after", HELP)
    .action(async (options) =>
      (await import("./commands/envoy-bootstrap.ts")).printEnvoyBootstrap(options, process.env, terminal),
    );
}

const HELP = `
Example:
  weft envoy-bootstrap --gateway --control 127.0.0.1:7070 --listen 8080 > envoy.yaml && envoy -c envoy.yaml
  weft envoy-bootstrap --service orders --app 3000 --listen 15006 --outbound 15001 --control 127.0.0.1:7070 > envoy.yaml
  envoy -c envoy.yaml

Without a join token (WEFT_JOIN_TOKEN or --token-file; weft token create orders) it gets no certificate, and calls in plain text.`;
