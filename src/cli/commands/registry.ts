import { hostPort } from "../../core/address.ts";
import type { Endpoint, Health } from "../../core/endpoint.ts";
import { WeftError } from "../../core/errors.ts";
import { openOrClose } from "../../core/open-or-close.ts";
import type { EndpointList } from "../../registry/registry.ts";
import { controlAddresses } from "../arguments.ts";
import { type AskingFlags, operatorToken } from "../ask-control.ts";
import { type Cell, formatColumns } from "../columns.ts";
import { controlAddress } from "../control-address.ts";
import { EXIT } from "../exit-status.ts";
import { openDirectAccess, openPlaneAccess, type RegistryAccess } from "../registry/access.ts";
import { Copier, type CopyEvent } from "../registry/copier.ts";
import { type EndpointFlags, endpointOfFlags } from "../registry/endpoint-of.ts";
import { sanitize, type Terminal } from "../terminal.ts";
import { untilStopped } from "../until-stopped.ts";

export interface RegistryFlags extends AskingFlags {
  /** Reached directly, instead of through a control plane. */
  registry?: string;
  system: string;
  json: boolean;
}

/** `weft registry ls`: the services that are known, and how well they are. */
export async function listRegistry(flags: RegistryFlags, terminal: Terminal): Promise<number> {
  return withAccess(flags, terminal, async (access) => {
    const list = await access.query(["*"]);
    const services = byService(list.endpoints);
    if (flags.json) return print(terminal, { endpointVersion: list.endpointVersion, staleMs: list.staleMs, services });
    const columns = [
      { title: "SERVICE" },
      { title: "ENDPOINTS", align: "right" as const },
      { title: "HEALTHY", align: "right" as const },
      { title: "VERSIONS" },
      { title: "ZONES" },
    ];
    const rows = services.map(({ service, endpoints, healthy, versions, zones }): Cell[] => [
      { text: service },
      { text: `${endpoints}` },
      {
        text: `${healthy}`,
        ...(healthy < endpoints && { style: healthy === 0 ? terminal.color.red : terminal.color.yellow }),
      },
      { text: versions.join(", ") },
      { text: zones.join(", ") },
    ]);
    if (services.length === 0) terminal.out("no endpoints are registered\n");
    else for (const line of formatColumns(columns, rows, terminal.color.dim)) terminal.out(`${line}\n`);
    tellStale(list, terminal);
  });
}

/** `weft registry get NAME`: its endpoints, whole. */
export async function getService(name: string, flags: RegistryFlags, terminal: Terminal): Promise<number> {
  return withAccess(flags, terminal, async (access) => {
    const list = await access.query([name]);
    if (flags.json) return print(terminal, list);
    if (list.endpoints.length === 0) {
      tellStale(list, terminal);
      throw new WeftError("not_found", `no endpoint of ${name} is registered; \`weft registry ls\` shows what is`, {
        reason: "UNKNOWN_SERVICE",
      });
    }
    const titles = ["ID", "ADDRESS", "VERSION", "ZONE", "WEIGHT", "PROTOCOL", "HEALTH", "METADATA"];
    const rows = sorted(list.endpoints).map((one): Cell[] => [
      { text: one.id },
      { text: hostPort(one.host, one.port) },
      { text: one.version },
      { text: one.zone },
      { text: `${one.weight}` },
      { text: one.protocol },
      { text: one.health, ...(one.health !== "healthy" && { style: terminal.color.yellow }) },
      { text: sanitize(metadataText(one), false) },
    ]);
    for (const line of formatColumns(
      titles.map((title) => ({ title })),
      rows,
      terminal.color.dim,
    ))
      terminal.out(`${line}\n`);
    tellStale(list, terminal);
  });
}

/** `weft registry register`: holds an endpoint's lease until Ctrl-C, or with `--ttl none` registers it for good. */
export async function registerEndpoint(
  flags: RegistryFlags & EndpointFlags & { ttl: number | "none"; replace: boolean },
  terminal: Terminal,
): Promise<number> {
  const endpoint = endpointOfFlags(flags);
  const access = await openAccess(flags, terminal);
  try {
    const ttlMs = flags.ttl === "none" ? Number.POSITIVE_INFINITY : flags.ttl * 1_000;
    const lease = await access.register(endpoint, ttlMs, flags.replace);
    const at = hostPort(endpoint.host, endpoint.port);
    if (flags.json) print(terminal, { type: "registered", endpoint });
    else
      terminal.out(
        `registered ${endpoint.id} of ${endpoint.service} at ${at}${flags.ttl === "none" ? "" : "; Ctrl-C takes it away"}\n`,
      );
    if (flags.ttl === "none") return EXIT.ok;
    return await untilStopped(() => lease.release());
  } finally {
    await access.close();
  }
}

/** `weft registry watch [NAME...]`: a line for every change, until Ctrl-C. */
export async function watchRegistry(
  names: readonly string[],
  flags: RegistryFlags,
  terminal: Terminal,
): Promise<number> {
  const access = await openOrClose(await openAccess(flags, terminal), (opened) => opened.query([]));
  const known = new Map<string, Endpoint>();
  const watch = access.watch(names.length === 0 ? ["*"] : names, (delta) => {
    if (flags.json) return terminal.out(`${JSON.stringify(delta)}\n`);
    const { green, red, yellow } = terminal.color;
    const gone = delta.full ? [...known.keys()].filter((id) => !delta.changed.some((one) => one.id === id)) : [];
    for (const id of gone) {
      terminal.out(`${red("-")} ${id} of ${known.get(id)?.service}  gone\n`);
      known.delete(id);
    }
    for (const { id, service, reason } of delta.removed) {
      known.delete(id);
      terminal.out(`${red("-")} ${id} of ${service}  ${sanitize(reason, false)}\n`);
    }
    for (const endpoint of sorted(delta.changed)) {
      const sign = known.has(endpoint.id) ? yellow("~") : green("+");
      known.set(endpoint.id, endpoint);
      const { id, service, host, port, version, health } = endpoint;
      terminal.out(
        `${sign} ${id} of ${service}${version === "" ? "" : `@${version}`}  ${hostPort(host, port)}  ${health}\n`,
      );
    }
  });
  try {
    return await untilStopped(async () => watch.close());
  } finally {
    await access.close();
  }
}

/** `weft registry health ID HEALTH` */
export async function setHealth(
  id: string,
  health: Health,
  flags: RegistryFlags & { reason: string },
  terminal: Terminal,
): Promise<number> {
  return withAccess(flags, terminal, async (access) => {
    await access.setHealth(id, health, flags.reason);
    if (flags.json) print(terminal, { type: "health", id, health });
    else terminal.out(`${id} is ${health}\n`);
  });
}

/** `weft registry deregister ID` */
export async function deregister(id: string, flags: RegistryFlags, terminal: Terminal): Promise<number> {
  return withAccess(flags, terminal, async (access) => {
    await access.remove(id);
    if (flags.json) print(terminal, { type: "deregistered", id });
    else terminal.out(`${id} is deregistered\n`);
  });
}

export interface CopyFlags extends RegistryFlags {
  follow: boolean;
  services?: string[];
  prefixIds: string;
  as?: string;
  ttl?: number | "none";
}

/** `weft registry copy FROM TO`: each a url of a registry, or HOST:PORT of a control plane. */
export async function copyRegistry(from: string, to: string, flags: CopyFlags, terminal: Terminal): Promise<number> {
  const source = await openPlace(from, flags, terminal);
  try {
    const target = await openPlace(to, flags, terminal);
    try {
      // Who cannot be reached is told of once, here: what follows takes an absence for one that ends.
      await Promise.all([source.query([]), target.query([])]);
      const ttl = flags.ttl ?? (flags.follow ? 15 : "none");
      const copier = new Copier({
        from: source,
        to: target,
        name: flags.as ?? source.name,
        prefix: flags.prefixIds,
        ttlMs: ttl === "none" ? Number.POSITIVE_INFINITY : ttl * 1_000,
        ...(flags.services && { services: flags.services }),
        onEvent: (event) => tellCopy(event, flags, terminal),
      });
      try {
        await copier.start();
        const { copies, problems } = copier;
        if (flags.json) print(terminal, { type: "copied-all", copies, problems });
        else
          terminal.out(
            `${copies} ${copies === 1 ? "endpoint is" : "endpoints are"} copied${problems > 0 ? `, ${problems} could not be` : ""}\n`,
          );
        if (!flags.follow) return problems > 0 ? EXIT.failed : EXIT.ok;
        return await untilStopped(async () => copier.close());
      } finally {
        copier.close();
      }
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

function tellCopy(event: CopyEvent, { json }: CopyFlags, terminal: Terminal): void {
  if (json) return terminal.out(`${JSON.stringify({ type: event.kind, ...event, kind: undefined })}\n`);
  const { red, yellow, green } = terminal.color;
  switch (event.kind) {
    case "copied":
      return terminal.out(`${green("+")} ${event.id}\n`);
    case "removed":
      return terminal.out(`${red("-")} ${event.id}\n`);
    case "health":
      return terminal.out(`${yellow("~")} ${event.id}  ${event.health}\n`);
    case "conflict":
      return terminal.err(
        `${yellow("left alone")}  ${event.id}: the target has an endpoint of that id that is no copy of this one; --prefix-ids gives copies ids of their own\n`,
      );
    case "failed":
      return terminal.err(`${red("failed")}  ${event.id}: ${sanitize(event.message, false)}\n`);
  }
}

function openPlace(text: string, flags: RegistryFlags, terminal: Terminal): Promise<RegistryAccess> {
  if (/^[a-z]+:\/\//.test(text)) return openAccess({ ...flags, registry: text }, terminal);
  return openAccess({ ...flags, registry: "", control: controlOf(text) }, terminal);
}

function controlOf(text: string): string {
  try {
    return controlAddresses(text);
  } catch {
    throw new WeftError(
      "invalid_argument",
      `"${text.slice(0, 100)}" is neither a registry's url (consul://127.0.0.1:8500) nor HOST:PORT of a control plane`,
      { reason: "BAD_ADDRESS" },
    );
  }
}

async function withAccess(
  flags: RegistryFlags,
  terminal: Terminal,
  body: (access: RegistryAccess) => Promise<void>,
): Promise<number> {
  const access = await openAccess(flags, terminal);
  try {
    await body(access);
    return EXIT.ok;
  } finally {
    await access.close();
  }
}

function openAccess(flags: RegistryFlags, terminal: Terminal): Promise<RegistryAccess> {
  const tell = (message: string): void => terminal.err(`registry: ${sanitize(message, false)}\n`);
  const { registry: url = "", system } = flags;
  if (url !== "") return openDirectAccess({ url, system: system || "default", tell });
  return openPlaneAccess({ address: controlAddress(flags), token: operatorToken(flags), tell });
}

interface ServiceSummary {
  readonly service: string;
  readonly endpoints: number;
  readonly healthy: number;
  readonly versions: readonly string[];
  readonly zones: readonly string[];
}

function byService(endpoints: readonly Endpoint[]): ServiceSummary[] {
  const services = new Map<string, Endpoint[]>();
  for (const endpoint of endpoints) {
    const listed = services.get(endpoint.service);
    if (listed === undefined) services.set(endpoint.service, [endpoint]);
    else listed.push(endpoint);
  }
  const named = (values: string[]): string[] => [...new Set(values)].filter((value) => value !== "").sort();
  return [...services]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([service, all]) => ({
      service,
      endpoints: all.length,
      healthy: all.filter(({ health }) => health === "healthy").length,
      versions: named(all.map(({ version }) => version)),
      zones: named(all.map(({ zone }) => zone)),
    }));
}

function sorted(endpoints: readonly Endpoint[]): Endpoint[] {
  return [...endpoints].sort((a, b) => (a.id < b.id ? -1 : 1));
}

function metadataText({ metadata }: Endpoint): string {
  return Object.entries(metadata)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
}

function tellStale({ staleMs }: EndpointList, terminal: Terminal): void {
  if (staleMs === 0) return;
  terminal.err(
    `${terminal.errColor.yellow("stale")}  this was all there is ${(staleMs / 1_000).toFixed(1)} s ago; the place where endpoints are kept does not answer\n`,
  );
}

function print(terminal: Terminal, value: unknown): void {
  terminal.out(`${JSON.stringify(value, null, 2)}\n`);
}
