import { Argument, type Command, Option } from "commander";
import { inDir, positive, serviceName } from "./arguments.ts";
import { asking, operatorFolder } from "./control-options.ts";
import type { Terminal } from "./terminal.ts";

/** `weft registry`. */
export function addRegistryCommand(program: Command, terminal: Terminal, exit: (status: number) => void): void {
  const load = () => import("./commands/registry.ts");
  const registry = program
    .command("registry")
    .summary("look at endpoints, register them, copy them")
    .description(
      "What is registered: at the control plane (the running system's, or --control), or directly where it is kept (--registry): docs/registry-commands.md.",
    )
    .addHelpText("after", HELP);
  const common = (command: Command, direct = true): Command => {
    (direct ? asking(command) : inDir(command).addOption(operatorFolder()))
      .option("--system <name>", "name of the system, where the registry is reached directly", "default")
      .option("--json", "print JSON", false);
    if (direct)
      command.option(
        "--registry <url>",
        "the registry itself, instead of a control plane: consul://, etcd://, zookeeper://, kubernetes://, postgres://, dns://",
      );
    return command;
  };

  common(
    registry
      .command("ls")
      .summary("list services and how well they are")
      .description("Lists services with how many endpoints they have, how many are healthy, their versions and zones."),
  ).action(async (options) => exit(await (await load()).listRegistry(options, terminal)));

  common(
    registry
      .command("get")
      .summary("show the endpoints of a service")
      .description("Shows every endpoint of a service, whole.")
      .argument("<service>", "its name", serviceName),
  ).action(async (service, options) => exit(await (await load()).getService(service, options, terminal)));

  common(
    registry
      .command("register")
      .summary("register an endpoint until Ctrl-C, or for good")
      .description(
        "Registers an endpoint and holds its lease until Ctrl-C, which takes it away; with --ttl none for good.",
      )
      .option("--service <name>", "the service")
      .option("--address <address>", "where it is called: HOST:PORT")
      .option("--id <id>", "unique in the system; default: SERVICE/ADDRESS")
      .option("--endpoint-version <version>", "its version: v2")
      .option("--zone <zone>", "where it is")
      .addOption(new Option("--weight <weight>", "its share of the calls; default: 1").argParser(positive))
      .addOption(
        new Option("--protocol <protocol>", "what it speaks; default: h2c").choices([
          "h2c",
          "h2",
          "http1",
          "tcp",
          "udp",
        ]),
      )
      .option("--tag <tag>", "a tag of it; may be repeated", collect, [])
      .option("--metadata <name=value>", "more that is known of it; may be repeated", collect, [])
      .option(
        "-f, --file <file>",
        "YAML or JSON with these fields (service, address, id, version, zone, weight, protocol, tags, metadata), before which flags go",
      )
      .addOption(
        new Option(
          "--ttl <seconds>",
          "lease period, renewed three times in it; none: it stays until it is deregistered",
        )
          .argParser(ttl)
          .default(15),
      )
      .option("--replace", "take the place of another endpoint with that id", false),
  ).action(async (options) => exit(await (await load()).registerEndpoint(options, terminal)));

  common(
    registry
      .command("watch")
      .summary("show every change")
      .description("Prints what is there, then every change: + new, ~ changed, - gone. With --json a delta a line.")
      .argument("[service...]", "only these services"),
  ).action(async (services: string[], options) =>
    exit(await (await load()).watchRegistry(services, options, terminal)),
  );

  common(
    registry
      .command("health")
      .summary("say how an endpoint is")
      .description("Says how an endpoint is, as its owner would; what health checks find counts besides.")
      .argument("<id>", "the endpoint")
      .addArgument(new Argument("<health>", "how it is").choices(["healthy", "unhealthy", "draining"]))
      .option("--reason <text>", "why, for those who look", "weft registry health"),
  ).action(async (id, health, options) => exit(await (await load()).setHealth(id, health, options, terminal)));

  common(
    registry
      .command("deregister")
      .summary("take an endpoint away")
      .description("Takes an endpoint away, whoever registered it.")
      .argument("<id>", "the endpoint"),
  ).action(async (id, options) => exit(await (await load()).deregister(id, options, terminal)));

  common(
    registry
      .command("copy")
      .summary("copy endpoints from one registry to another")
      .description(
        "Copies endpoints from one registry to another, once, or with --follow for as long as it runs. Copies bear its name: nothing else at the target is changed, and copies are not copied on.",
      )
      .argument("<from>", "a registry's url, or HOST:PORT of a control plane")
      .argument("<to>", "likewise")
      .option("--follow", "keep the target as the source is, until Ctrl-C", false)
      .addOption(new Option("--services <names>", "only these, separated by commas; default: all").argParser(names))
      .option("--prefix-ids <text>", "before the id of each copy", "")
      .option("--as <name>", "name of this copy, by which it knows its own; default: the source's")
      .addOption(
        new Option("--ttl <seconds>", "lease period of copies; default: none, with --follow 15").argParser(ttl),
      ),
    false,
  ).action(async (from, to, options) => exit(await (await load()).copyRegistry(from, to, options, terminal)));
}

function collect(text: string, before: string[]): string[] {
  return [...before, text];
}

function names(text: string): string[] {
  return text.split(",").map((name) => serviceName(name));
}

function ttl(text: string): number | "none" {
  return text === "none" ? "none" : positive(text);
}

const HELP = `
Examples:
  weft registry ls                                          of the system that runs here
  weft registry get payments --json
  weft registry register --service legacy --address 10.0.0.7:8080 --protocol http1
  weft registry watch payments --control 127.0.0.1:7070
  weft registry health payments-2 draining
  weft registry copy consul://127.0.0.1:8500 127.0.0.1:7070 --follow --prefix-ids dc1-`;
