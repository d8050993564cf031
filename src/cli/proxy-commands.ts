import { type Command, Option } from "commander";
import { address, addresses, count, networks, sessionListener, share } from "./arguments.ts";
import { controlRequired } from "./control-options.ts";
import type { Terminal } from "./terminal.ts";

/** `weft proxy`. */
export function addProxyCommand(program: Command, terminal: Terminal, exit: (status: number) => void): void {
  program
    .command("proxy")
    .summary("run the data plane alone")
    .description(
      "Forwards HTTP/1.1, HTTP/2, gRPC and WebSocket to static endpoints, balanced, retried and measured; no control plane. Downstream both versions are served on one port.",
    )
    .addOption(
      new Option("--listen <address>", "PORT or HOST:PORT; port 0 picks a free one")
        .argParser(address)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option("--to <address...>", "an endpoint, HOST:PORT; may be repeated")
        .argParser(addresses)
        .makeOptionMandatory(),
    )
    .option("--h2", "speak HTTP/2 with the endpoints (gRPC needs it); default HTTP/1.1", false)
    .option("--to-tls", "speak TLS with the endpoints, HTTP/2 or HTTP/1.1 by ALPN", false)
    .option("--to-ca <file>", "whom to trust then, instead of the system's authorities (PEM); implies --to-tls")
    .addOption(tlsCert())
    .addOption(tlsKey())
    .addOption(adminAddress())
    .addOption(accessLog())
    .addOption(trustedProxies())
    .action(async (options) => exit(await (await import("./commands/proxy.ts")).proxy(options, terminal)));
}

/** `weft gateway`. */
export function addGatewayCommand(program: Command, terminal: Terminal, exit: (status: number) => void): void {
  program
    .command("gateway")
    .summary("run a gateway alone")
    .description(
      "Runs a gateway that gets routes, policies and endpoints from a control plane. With WEFT_JOIN_TOKEN (weft token create gateway) it proves who it is, and calls " +
        "are mutual TLS. `weft up` starts one by itself.",
    )
    .addOption(controlRequired())
    .addOption(
      new Option("--listen <address>", "PORT or HOST:PORT; port 0 picks a free one")
        .argParser(address)
        .default({ host: "127.0.0.1", port: 8080 }, "127.0.0.1:8080"),
    )
    .addOption(adminAddress())
    .addOption(accessLog())
    .addOption(trustedProxies())
    .addOption(
      new Option(
        "--proxy-protocol <networks>",
        "load balancers in front that say by a header of the PROXY protocol who connects, and must: CIDR,...; default: none",
      ).argParser(networks),
    )
    .addOption(
      new Option(
        "--listener <name=protocol:address...>",
        "a listener beside HTTP, for TCPRoute, UDPRoute or TLSRoute: db=tcp:5432, dns=udp:0.0.0.0:53, tls=tls:8443",
      ).argParser(sessionListener),
    )
    .addOption(tlsCert())
    .addOption(tlsKey())
    .addOption(
      new Option(
        "--state-file <file>",
        "where the last endpoints, routes and contracts are kept, to start with while the control plane is away (WEFT_STATE_FILE); default: nowhere",
      ).env("WEFT_STATE_FILE"),
    )
    .addOption(
      new Option(
        "--shared-limits <url>",
        "keep limits of the whole system in Redis: redis://HOST:PORT (WEFT_SHARED_LIMITS); default: leases from the control plane",
      ).env("WEFT_SHARED_LIMITS"),
    )
    .option("--record <folder>", "record calls for weft replay into a ring of files of at most 64 MB; redacted")
    .addOption(
      new Option("--record-sample <share>", "which share of the calls: 0.1 or 10%").argParser(share).default(1, "all"),
    )
    .option("--drain <ms>", "time for calls in flight when it stops, ms", count, 10_000)
    .action(async (options) => exit(await (await import("./commands/gateway.ts")).gateway(options, terminal)));
}

function adminAddress(): Option {
  const text = "where metrics and health are served; default: a free port of 127.0.0.1";
  return new Option("--admin <address>", text).argParser(address);
}

function accessLog(): Option {
  return new Option("--access-log <mode>", "which calls are logged")
    .choices(["all", "errors", "off"])
    .default("errors");
}

function tlsCert(): Option {
  const text = "serve TLS with this certificate (PEM, its chain behind it); HTTP/2 or HTTP/1.1 by ALPN";
  return new Option("--tls-cert <file>", text);
}

function tlsKey(): Option {
  return new Option("--tls-key <file>", "its private key (PEM)");
}

function trustedProxies(): Option {
  return new Option(
    "--trusted-proxies <networks>",
    "load balancers in front whose x-forwarded-* is believed: CIDR,... (WEFT_TRUSTED_PROXIES); default: none",
  )
    .argParser(networks)
    .env("WEFT_TRUSTED_PROXIES");
}
