import { type Command, Option } from "commander";
import { address, addressText, positive } from "./arguments.ts";
import type { Terminal } from "./terminal.ts";

/** `weft control`. */
export function addControlCommand(program: Command, terminal: Terminal, exit: (status: number) => void): void {
  program
    .command("control")
    .summary("run a control plane alone")
    .description(
      "Runs the control plane: registry, leases, health checks, routes and policies, certificates, xDS for Envoy and gRPC. `weft up` starts one by itself.",
    )
    .addOption(
      new Option("--listen <address>", "PORT or HOST:PORT; port 0 picks a free one")
        .argParser(address)
        .default({ host: "127.0.0.1", port: 7070 }, "127.0.0.1:7070"),
    )
    .option(
      "--plain",
      "take plain text from other machines, too, for what carries no secret; default: TLS alone, by join tokens and WEFT_CONTROL_PIN",
      false,
    )
    .option(
      "--data <folder>",
      "where endpoints, revisions and keys are kept that have no other place; default: in memory",
    )
    .addOption(
      new Option(
        "--registry <url>",
        "keep endpoints there, where several control planes may share them: etcd://USER:PASSWORD@HOST:PORT,HOST:PORT/PREFIX?ca=FILE, consul://TOKEN@HOST:PORT/PREFIX, zookeeper://..., " +
          "kubernetes://..., postgres://... (WEFT_REGISTRY; docs/registry.md)",
      ).env("WEFT_REGISTRY"),
    )
    .addOption(
      new Option(
        "--mode <mode>",
        "available: the registry answers from what it knows, and says how old that is; consistent: only what it can confirm (WEFT_REGISTRY_MODE; docs/registry.md); default: available",
      )
        .choices(["available", "consistent"])
        .env("WEFT_REGISTRY_MODE"),
    )
    .addOption(
      new Option(
        "--store <url>",
        "keep revisions and what else control planes share there: etcd://..., consul://..., zookeeper://..., kubernetes://..., postgres://...; git:///REPOSITORY?branch=NAME for " +
          "revisions alone (WEFT_STORE); default: --data, or the registry without it (docs/store.md)",
      ).env("WEFT_STORE"),
    )
    .addOption(
      new Option(
        "--consul <address>",
        "serve Consul's API for services and health, too: PORT or HOST:PORT, 8500 as Consul's own; default: not",
      ).argParser(address),
    )
    .addOption(
      new Option(
        "--admin <address>",
        "where metrics and health are served, to anyone who reaches it: PORT or HOST:PORT; default: not (docs/control-metrics.md)",
      ).argParser(address),
    )
    .option("--system <name>", "name of the system: the trust domain of its identities; default: default", "")
    .option(
      "--operator-token-file <file>",
      "file with the operator's token, the same for all control planes of one store (default: WEFT_OPERATOR_TOKEN, or a new one in --data)",
    )
    .addOption(
      new Option(
        "--advertise <address>",
        "where the other control planes of the store reach this one, HOST:PORT; default: --listen",
      ).argParser(addressText),
    )
    .option(
      "--ca-cert <file>",
      "sign identities by this authority's certificate (PEM, its chain behind it) instead of an own root",
    )
    .option("--ca-key <file>", "its private key (PEM)")
    .option("--ca-trust <file>", "the roots that processes trust then (PEM); default: --ca-cert, where that is a root")
    .addOption(
      new Option("--cert-lifetime <seconds>", "of certificates of processes; default: 3600").argParser(positive),
    )
    .action(async (options) => exit(await (await import("./commands/control.ts")).control(options, terminal)));
}
