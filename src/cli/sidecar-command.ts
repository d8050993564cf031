import { type Command, Option } from "commander";
import { address, count, healthCheck, ports, resolvers, serviceName } from "./arguments.ts";
import { controlRequired } from "./control-options.ts";
import type { Terminal } from "./terminal.ts";

/** `weft sidecar`. */
export function addSidecarCommand(program: Command, terminal: Terminal, exit: (status: number) => void): void {
  program
    .command("sidecar")
    .summary("run the data plane beside an application")
    .description(
      "Stands beside one instance of a service, in any language: calls for it come in here (identity, authorization, limits, deadlines) and are registered in its " +
        "place; what it calls goes out here (discovery, routes, retries, breakers). The application changes nothing: set HTTP_PROXY to the outbound " +
        "address, or call that address with the service's name as the host. `weft up` starts one for a service with sidecar: true.",
    )
    .addOption(
      new Option("--service <name>", "what the application is in the registry (WEFT_SERVICE)")
        .argParser(serviceName)
        .env("WEFT_SERVICE")
        .makeOptionMandatory(),
    )
    .addOption(
      new Option("--app <address>", "where the application listens: PORT or HOST:PORT")
        .argParser(address)
        .makeOptionMandatory(),
    )
    .addOption(controlRequired())
    .addOption(
      new Option(
        "--listen <address>",
        "where calls for the application come in; default: a free port of 127.0.0.1",
      ).argParser(address),
    )
    .addOption(
      new Option(
        "--outbound <address>",
        "where the application's calls are taken; default: a free port of 127.0.0.1",
      ).argParser(address),
    )
    .addOption(
      new Option(
        "--admin <address>",
        "where metrics and health are served; default: a free port of 127.0.0.1",
      ).argParser(address),
    )
    .addOption(
      new Option(
        "--app-protocol <protocol>",
        "what the application speaks; auto finds out whether it takes HTTP/2, tcp carries its bytes as they come",
      )
        .choices(["auto", "http1", "h2c", "tcp"])
        .default("auto"),
    )
    .option(
      "--health <check>",
      "how the application is checked: tcp, http:/PATH, grpc or grpc:SERVICE",
      healthCheck,
      "tcp",
    )
    .addOption(
      new Option("--service-version <version>", "version of the application (WEFT_VERSION)")
        .env("WEFT_VERSION")
        .default("", "none"),
    )
    .addOption(
      new Option("--instance <id>", "id of its endpoint (WEFT_INSTANCE); default: made of service and address").env(
        "WEFT_INSTANCE",
      ),
    )
    .addOption(
      new Option(
        "--advertise <host>",
        "the host that callers are told, when it differs from that of --listen (WEFT_ADVERTISE)",
      ).env("WEFT_ADVERTISE"),
    )
    .addOption(
      new Option("--egress <mode>", "what the application may call: any host, or services of the mesh alone")
        .choices(["any", "mesh"])
        .default("any"),
    )
    .addOption(
      new Option(
        "--dns <address>",
        "answer DNS queries here: NAME.weft has a virtual address, on which the sidecar listens; default: nobody does",
      ).argParser(address),
    )
    .option("--virtual <network>", "where virtual addresses lie, within 127.0.0.0/8 (default: 127.80.0.0/16)")
    .addOption(
      new Option(
        "--virtual-ports <ports>",
        "at which ports virtual addresses are listened on: PORT,... (default: 80,8080,50051)",
      ).argParser(ports),
    )
    .addOption(
      new Option(
        "--resolver <addresses>",
        "who is asked for other names: HOST[:PORT],... or none, to refuse them (default: those of /etc/resolv.conf)",
      ).argParser(resolvers),
    )
    .addOption(
      new Option(
        "--transparent <address>",
        "where connections are taken that weft intercept sends here; default: nowhere",
      ).argParser(address),
    )
    .addOption(
      new Option(
        "--gid <group>",
        "run as this group (a number), whose traffic weft intercept leaves alone; needs root",
      ).argParser(count),
    )
    .addOption(
      new Option("--access-log <mode>", "which calls are logged").choices(["all", "errors", "off"]).default("errors"),
    )
    .option("--drain <ms>", "time for calls in flight when it stops, ms", count, 10_000)
    .addOption(
      new Option(
        "--state-file <file>",
        "where the last endpoints and policies are kept, to start with while the control plane is away (WEFT_STATE_FILE); default: nowhere",
      ).env("WEFT_STATE_FILE"),
    )
    .addHelpText("after", SIDECAR_HELP)
    .action(async (options) => exit(await (await import("./commands/sidecar.ts")).sidecar(options, terminal)));
}

const SIDECAR_HELP = `
Example:
  weft sidecar --service orders --app 127.0.0.1:3000 --outbound 127.0.0.1:15001 --control 127.0.0.1:7070
  http_proxy=http://127.0.0.1:15001 curl http://products.weft/v1/products
  curl -H 'host: products.weft' http://127.0.0.1:15001/v1/products

With WEFT_JOIN_TOKEN (weft token create orders) it proves who it is, and calls are mutual TLS. WEFT_ZONE says where it stands. It says when it is ready;
--admin has /readyz, /metrics and /decisions.`;
