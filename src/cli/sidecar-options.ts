import { address, controlAddresses, count, healthCheck, ports, resolvers, serviceName } from "./arguments.ts";
import type { OptionSpec } from "./option-spec.ts";

/** Those of `weft sidecar` (SidecarFlags). */
export const SIDECAR_OPTIONS: readonly OptionSpec[] = [
  {
    flags: "--service <name>",
    about: "what the application is in the registry (WEFT_SERVICE)",
    parse: serviceName,
    env: "WEFT_SERVICE",
    required: true,
  },
  {
    flags: "--app <address>",
    about: "where the application listens: PORT or HOST:PORT",
    parse: address,
    required: true,
  },
  {
    flags: "--control <address>",
    about: "the control plane, HOST:PORT; several separated by commas (WEFT_CONTROL)",
    parse: controlAddresses,
    env: "WEFT_CONTROL",
    required: true,
  },
  {
    flags: "--listen <address>",
    about: "where calls for the application come in; default: a free port of 127.0.0.1",
    parse: address,
  },
  {
    flags: "--outbound <address>",
    about: "where the application's calls are taken; default: a free port of 127.0.0.1",
    parse: address,
  },
  {
    flags: "--admin <address>",
    about: "where metrics and health are served; default: a free port of 127.0.0.1",
    parse: address,
  },
  {
    flags: "--app-protocol <protocol>",
    about: "what the application speaks; auto finds out whether it takes HTTP/2, tcp carries its bytes as they come",
    choices: ["auto", "http1", "h2c", "tcp"],
    default: "auto",
  },
  {
    flags: "--health <check>",
    about: "how the application is checked: tcp, http:/PATH, grpc or grpc:SERVICE",
    parse: healthCheck,
    default: "tcp",
  },
  {
    flags: "--service-version <version>",
    about: "version of the application (WEFT_VERSION)",
    env: "WEFT_VERSION",
    default: "",
    defaultText: "none",
  },
  {
    flags: "--instance <id>",
    about: "id of its endpoint (WEFT_INSTANCE); default: made of service and address",
    env: "WEFT_INSTANCE",
  },
  {
    flags: "--advertise <host>",
    about: "the host that callers are told, when it differs from that of --listen (WEFT_ADVERTISE)",
    env: "WEFT_ADVERTISE",
  },
  {
    flags: "--egress <mode>",
    about: "what the application may call: any host, or services of the mesh alone",
    choices: ["any", "mesh"],
    default: "any",
  },
  {
    flags: "--dns <address>",
    about:
      "answer DNS queries here: NAME.weft has a virtual address, on which the sidecar listens; default: nobody does",
    parse: address,
  },
  { flags: "--virtual <network>", about: "where virtual addresses lie, within 127.0.0.0/8 (default: 127.80.0.0/16)" },
  {
    flags: "--virtual-ports <ports>",
    about: "at which ports virtual addresses are listened on: PORT,... (default: 80,8080,50051)",
    parse: ports,
  },
  {
    flags: "--resolver <addresses>",
    about: "who is asked for other names: HOST[:PORT],... or none, to refuse them (default: those of /etc/resolv.conf)",
    parse: resolvers,
  },
  {
    flags: "--transparent <address>",
    about: "where connections are taken that weft intercept sends here; default: nowhere",
    parse: address,
  },
  {
    flags: "--gid <group>",
    about: "run as this group (a number), whose traffic weft intercept leaves alone; needs root",
    parse: count,
  },
  {
    flags: "--access-log <mode>",
    about: "which calls are logged",
    choices: ["all", "errors", "off"],
    default: "errors",
  },
  { flags: "--drain <ms>", about: "time for calls in flight when it stops, ms", parse: count, default: 10_000 },
  {
    flags: "--state-file <file>",
    about:
      "where the last endpoints and policies are kept, to start with while the control plane is away (WEFT_STATE_FILE); default: nowhere",
    env: "WEFT_STATE_FILE",
  },
];
