import { type Command, Option } from "commander";
import { address, count, inDir, networks } from "./arguments.ts";
import { controlInstead } from "./control-options.ts";
import type { Terminal } from "./terminal.ts";

/** `weft dns`. */
export function addDnsCommand(program: Command, terminal: Terminal, exit: (status: number) => void): void {
  inDir(
    program
      .command("dns")
      .summary("answer DNS queries for services")
      .description(
        "Answers NAME.weft from the control plane's registry over UDP and TCP, so that any program finds services by name: addresses (A, AAAA) and ports (SRV) of " +
          "healthy endpoints, also of one version (v2.NAME.weft). `weft up` starts it for a system whose description has dns.",
      ),
  )
    .addOption(controlInstead())
    .addOption(
      new Option("--listen <address>", "PORT or HOST:PORT; port 0 picks a free one")
        .argParser(address)
        .default({ host: "127.0.0.1", port: 5353 }, "127.0.0.1:5353"),
    )
    .addOption(
      new Option("--allow <networks>", "who is answered: CIDR,...; default: this machine alone").argParser(networks),
    )
    .option("--ttl <seconds>", "how long answers may be kept", count, 5)
    .addOption(
      new Option(
        "--state-file <file>",
        "where the last endpoints are kept, to start with while the control plane is away (WEFT_STATE_FILE); default: nowhere",
      ).env("WEFT_STATE_FILE"),
    )
    .action(async (options) => exit(await (await import("./commands/dns.ts")).dns(options, terminal)));
}
