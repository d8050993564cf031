import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { hostPort } from "../../core/address.ts";
import { systemClock } from "../../core/clock.ts";
import { formatPlace, WeftError } from "../../core/errors.ts";
import { systemRandom } from "../../core/random.ts";
import { findEnvoy, NO_ENVOY } from "../../host/envoy.ts";
import { createHost } from "../../host/host.ts";
import { startHostServer } from "../../host/host-server.ts";
import { operatorTokenOf } from "../../host/join-tokens.ts";
import { addressOf, GATEWAY_UNIT, KNOWN_FOLDER } from "../../host/launch.ts";
import { loadSystem, shownPath } from "../../host/load-system.ts";
import { bindProblem, listenProblem } from "../../host/probe.ts";
import type { System } from "../../host/resolve-system.ts";
import { readRunFile, removeRunFile, writeRunFile } from "../../host/run-file.ts";
import type { Host, HostEvent } from "../../host/types.ts";
import { openControlLine } from "../control-line.ts";
import { EXIT } from "../exit-status.ts";
import { generate } from "../gen/generate.ts";
import { HEAP_ARGUMENTS } from "../heap.ts";
import { errorObject, printError } from "../print-error.ts";
import { REGISTRY_FILE } from "../registry-file.ts";
import { resourcesAsYaml, systemResources } from "../resources.ts";
import type { Terminal } from "../terminal.ts";
import { readTlsFiles } from "../tls-files.ts";
import { joinFigures } from "../up/call-stats.ts";
import { GatewayStats } from "../up/gateway-stats.ts";
import { createLoadReader } from "../up/load-reader.ts";
import { ServiceStats } from "../up/service-stats.ts";
import { curlLines } from "../up/try-lines.ts";
import { createView } from "../up/views.ts";

export interface UpFlags {
  listen?: { host: string; port: number };
  load?: number;
  print: boolean;
  plain: boolean;
  json: boolean;
  contracts: boolean;
  state?: string;
}

/** `weft up`: checks everything that can be checked first, starts the system, shows it, and ends with it. Resolves to the exit status. */
export async function up(dir: string, flags: UpFlags, terminal: Terminal): Promise<number> {
  const system = withFlags(await loadSystem(dir), flags);
  // What is wrong with routes and policies is said before anything runs.
  for (const { place, message } of systemResources(system).warnings) {
    if (flags.json) terminal.out(`${JSON.stringify({ type: "warning", place, message })}\n`);
    else terminal.err(`${terminal.errColor.yellow("warning:")} ${formatPlace(place)}: ${message}\n`);
  }
  if (flags.print) {
    terminal.out(resourcesAsYaml(system));
    return EXIT.ok;
  }
  const stateDir = flags.state === undefined ? join(system.dir, ".weft") : resolve(flags.state);
  assertNotRunning(system, stateDir);
  if (system.gateway?.tls) {
    const place = { file: system.file, ...system.locate(["gateway", "tls"]), field: "gateway.tls" };
    readTlsFiles({ ...system.gateway.tls, certName: "gateway.tls.cert", keyName: "gateway.tls.key", place });
  }
  assertEnvoyThere(system);
  await Promise.all([
    assertGatewayPortFree(system),
    assertDnsPortFree(system),
    flags.contracts ? checkContracts(system) : null,
  ]);

  const main = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "../main.ts" : "../main.js", import.meta.url));
  const nodeArguments = import.meta.url.endsWith(".ts") ? ["-C", "weft-source"] : [];
  const stats = { gateway: new GatewayStats(), services: new ServiceStats() };
  const figures = joinFigures(stats.services, stats.gateway);
  const warn = (error: Error): void =>
    onEvent({ type: "log", id: "weft", unit: "weft", stream: "err", line: error.message });
  const host: Host = createHost({
    system,
    stateDir,
    weft: [process.execPath, ...HEAP_ARGUMENTS, ...nodeArguments, main],
    nodeArguments,
    load: flags.load ?? 0,
    openControl: (url, onEndpoints) => openControlLine(url, onEndpoints, warn, () => operatorTokenOf(stateDir)),
    clock: systemClock,
    random: systemRandom,
    onEvent: (event) => onEvent(event),
  });
  const token = randomBytes(24).toString("base64url");
  const server = await startHostServer(host, token, ({ id, unit }) =>
    unit === GATEWAY_UNIT ? figures.total() : figures.endpoints([id]),
  );
  const view = createView(system, () => host, figures, terminal, flags);
  const startedAt = new Date().toISOString();

  function onEvent(event: HostEvent): void {
    if (event.type === "ready" || event.type === "system-ready") writeRun();
    server.onEvent(event);
    view.event(event);
    if (event.type === "system-ready") view.ready(readyLines(host, system));
  }
  function writeRun(): void {
    const { control, gateway, gatewayAdmin } = host;
    writeRunFile(stateDir, {
      system: system.name,
      pid: process.pid,
      host: server.url,
      token,
      control,
      gateway,
      gatewayAdmin,
      startedAt,
    });
  }

  // Leases of an earlier run are of processes that are gone; to wait for their end would send calls there.
  for (const suffix of ["", "-wal", "-shm"]) rmSync(join(stateDir, "control", REGISTRY_FILE + suffix), { force: true });
  rmSync(join(stateDir, KNOWN_FOLDER), { recursive: true, force: true });
  writeRun();
  const signalled = { count: 0 };
  const onSignal = (): void => {
    signalled.count++;
    host.stop();
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  const loads = createLoadReader(() => addressOf(host.control));
  const scraper = setInterval(() => {
    void loads.read().then((reports) => stats.services.add(reports, performance.now()));
    void scrape(host, stats.gateway);
  }, SCRAPE_EVERY_MS);
  try {
    host.start();
    const { failure } = await host.done;
    view.close();
    if (failure === null) return signalled.count > 1 ? EXIT.killed : EXIT.ok;
    const error = new WeftError("failed_precondition", withLogs(failure, system, stateDir), { reason: "START_FAILED" });
    if (flags.json) terminal.out(`${JSON.stringify({ type: "error", ...errorObject(error) })}\n`);
    else printError(error, terminal);
    return EXIT.failed;
  } finally {
    clearInterval(scraper);
    await loads.close();
    for (const signal of SIGNALS) process.off(signal, onSignal);
    server.close();
    removeRunFile(stateDir);
  }
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const SCRAPE_EVERY_MS = 1_000;

function withFlags(system: System, flags: UpFlags): System {
  if (flags.load !== undefined && system.load === null) {
    throw new WeftError("invalid_argument", `${system.file} names no load driver; add: load: "load.ts"`, {
      reason: "NO_LOAD_DRIVER",
      place: { file: system.file, field: "load" },
    });
  }
  if (flags.load !== undefined && system.gateway === null) {
    throw new WeftError("invalid_argument", `${system.file}: without a gateway there is nothing to load`, {
      reason: "NO_GATEWAY",
      place: { file: system.file, field: "gateway" },
    });
  }
  if (flags.listen === undefined) return system;
  return {
    ...system,
    gateway: {
      adminHost: "127.0.0.1",
      adminPort: 0,
      tls: null,
      trustedProxies: [],
      proxyProtocol: [],
      listeners: [],
      ...system.gateway,
      ...flags.listen,
    },
  };
}

function assertNotRunning(system: System, stateDir: string): void {
  const run = readRunFile(stateDir);
  if (run === null) return;
  const where = shownPath(system.dir);
  const stop = where === "." ? "weft stop" : `weft stop -C ${where}`;
  throw new WeftError(
    "failed_precondition",
    `${run.system} runs already (process ${run.pid}, since ${run.startedAt}); stop it with: ${stop}`,
    { reason: "ALREADY_RUNNING" },
  );
}

function assertEnvoyThere({ units, file, locate }: System): void {
  const unit = units.find(({ sidecar }) => sidecar?.proxy === "envoy");
  if (unit === undefined || findEnvoy() !== null) return;
  const path = ["services", unit.service, "sidecar"];
  const place = { file, ...locate(path), field: path.join(".") };
  throw new WeftError("failed_precondition", `${formatPlace(place)}: ${NO_ENVOY}`, { reason: "ENVOY_MISSING", place });
}

async function assertGatewayPortFree(system: System): Promise<void> {
  const { gateway } = system;
  if (gateway === null) return;
  const problem = gateway.port === 0 ? null : await listenProblem(gateway.host, gateway.port);
  if (problem === null) return;
  const address = hostPort(gateway.host, gateway.port);
  const place = { file: system.file, ...system.locate(["gateway", "listen"]), field: "gateway.listen" };
  const where = [place.file, place.line].filter((part) => part !== undefined).join(":");
  const free = hostPort(gateway.host, gateway.port + 1);
  const text =
    problem === "EADDRINUSE"
      ? `${where} gateway.listen: ${address} is in use by another program; stop that one, or choose another address: weft up --listen ${free}`
      : `${where} gateway.listen: one cannot listen at ${address} (${problem}); choose another address: weft up --listen 127.0.0.1:8080`;
  throw new WeftError("failed_precondition", text, {
    reason: problem === "EADDRINUSE" ? "PORT_IN_USE" : "CANNOT_LISTEN",
    place,
  });
}

async function assertDnsPortFree({ dns, file, locate }: System): Promise<void> {
  if (dns === null || dns.port === 0) return;
  const problem = (await listenProblem(dns.host, dns.port)) ?? (await bindProblem(dns.host, dns.port));
  if (problem === null) return;
  const place = { file, ...locate(["dns", "listen"]), field: "dns.listen" };
  const at = hostPort(dns.host, dns.port);
  const inUse = problem === "EADDRINUSE";
  const why = inUse ? `${at} is in use by another program` : `one cannot listen at ${at} (${problem})`;
  throw new WeftError(
    "failed_precondition",
    `${formatPlace(place)}: ${why}; choose another port, or 0 for a free one`,
    {
      reason: inUse ? "PORT_IN_USE" : "CANNOT_LISTEN",
      place,
    },
  );
}

/** Compiles the contracts and compares the generated code with them. Where buf is not installed there is nothing to compare with: it is skipped. */
async function checkContracts(system: System): Promise<void> {
  for (const folder of system.contracts) {
    const cwd = dirname(folder);
    try {
      await generate({ cwd, roots: [relative(cwd, folder)], out: "gen", check: true });
    } catch (thrown) {
      if (thrown instanceof WeftError && thrown.reason === "TOOL_MISSING") return;
      if (!(thrown instanceof WeftError) || thrown.reason !== "STALE") throw thrown;
      const where = resolve(cwd) === process.cwd() ? "" : ` ${shownPath(cwd)}`;
      throw new WeftError(thrown.code, thrown.message.replace("`weft gen`", `\`weft gen${where}\``), {
        reason: thrown.reason,
        place: thrown.place,
      });
    }
  }
}

function readyLines(host: Host, system: System): string[] {
  const names = host.dns === null ? [] : [`names at ${addressOf(host.dns)}, UDP and TCP: NAME.weft`];
  if (host.gateway === null) return [`ready (no gateway); control plane at ${host.control}`, ...names];
  return [`ready ${host.gateway}`, ...names, ...curlLines(host.gateway, system.try)];
}

async function scrape(host: Host, stats: GatewayStats): Promise<void> {
  if (host.gatewayAdmin === null) return;
  try {
    const response = await fetch(`${host.gatewayAdmin}/metrics`, { signal: AbortSignal.timeout(SCRAPE_EVERY_MS) });
    if (response.ok) stats.add(await response.text(), performance.now());
  } catch {
    // It is starting or gone; the table shows that.
  }
}

/** The failure, and where the process that failed says more. */
function withLogs(failure: string, system: System, stateDir: string): string {
  const unit = system.units.find(({ prefix }) => new RegExp(`^${prefix}-\\d+ `).test(failure));
  if (unit === undefined) return failure;
  return `${failure}\nwhat it printed: ${shownPath(join(stateDir, "logs", `${unit.service}.log`))}`;
}
