import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { envoyBootstrap } from "../../../src/control/xds/envoy-bootstrap.ts";
import { serveXds, type XdsServer } from "../../../src/control/xds/serve-xds.ts";
import { encodeResource } from "../../../src/control/xds/translate/encode.ts";
import { MeshModel } from "../../../src/control/xds/translate/mesh-model.ts";
import { MeshView, type NodePlace, nodeDocuments, type ViewKey } from "../../../src/control/xds/translate/mesh-view.ts";
import { PROBE_FIELD, PROBE_HOST } from "../../../src/control/xds/translate/virtual-hosts.ts";
import type { XdsResource } from "../../../src/control/xds/types.ts";
import type { Endpoint } from "../../../src/core/endpoint.ts";
import type { DataPlane } from "../../../src/policy/check/enforcement.ts";
import type { Resource } from "../../../src/policy/resource/resources.ts";
import { freePort } from "../../counter.ts";
import { tool } from "../../tools.ts";
import { SERVICES } from "../backends.ts";
import { METHODS, withBase, withFallThrough } from "../base.ts";
import type { Place, Scope } from "../model.ts";
import { RawCaller } from "../raw-call.ts";

interface Kind {
  readonly name: string;
  readonly role: "gateway" | "sidecar";
  readonly service: string;
  readonly planes: readonly DataPlane[];
  readonly takes: Place["takes"];
}

/** Stock Envoys under our xDS: a gateway, a sidecar's outbound side, and the inbound sides of one of "web" and one of "rpc". */
export function openEnvoys(endpoints: readonly Endpoint[]): Promise<Place[]> {
  const inbound = (service: string, kind: "http" | "grpc"): Kind => ({
    name: `envoy-in-${service}`,
    role: "sidecar",
    service,
    planes: ["envoy", "server"],
    takes: (scope, request) => scope === "in" && request.kind === kind,
  });
  const kinds: Kind[] = [
    {
      name: "envoy",
      role: "gateway",
      service: "gateway",
      planes: ["envoy", "gateway"],
      takes: (scope) => scope !== "in",
    },
    {
      name: "envoy-out",
      role: "sidecar",
      service: "caller",
      planes: ["envoy", "sidecar"],
      takes: (scope) => scope === "web" || scope === "rpc",
    },
    inbound("web", "http"),
    inbound("rpc", "grpc"),
  ];
  return Promise.all(kinds.map((kind) => openEnvoy(kind, endpoints)));
}

async function openEnvoy(kind: Kind, endpoints: readonly Endpoint[]): Promise<Place> {
  const isInbound = kind.planes.includes("server");
  const port = await freePort();
  const app = endpoints.find(({ service }) => service === kind.service);
  const at: NodePlace = {
    service: kind.service,
    role: kind.role,
    host: "127.0.0.1",
    outboundHost: "127.0.0.1",
    inbound: kind.role === "gateway" || isInbound ? port : 0,
    outbound: kind.role === "sidecar" && !isInbound ? port : 0,
    app: isInbound && app !== undefined ? `127.0.0.1:${app.port}` : "",
    http2App: app?.protocol === "h2c",
  };
  const token = randomBytes(8).toString("hex");
  let revision = 0;
  const made = (scope: Scope, resources: readonly Resource[]): XdsResource[] => {
    const all = withBase(scope, kind.role === "gateway" ? withFallThrough(scope, resources) : resources);
    return translated(kind, at, endpoints, all, { revision: ++revision, token });
  };
  const server = await serveXds({ resources: made("edge", []), log: () => {} });
  const envoy = startEnvoy(kind, server);
  const caller = new RawCaller(port);
  return {
    name: kind.name,
    planes: kind.planes,
    tellsReasons: true,
    takes: kind.takes,
    async apply(scope, resources) {
      server.update(made(scope, resources));
      // Connections that were there are drained with the listener that they came to.
      caller.reset();
      await enforced(kind.name, server, port, token, revision, envoy);
    },
    call: (_scope, asked, id) => caller.call(asked, id),
    async close() {
      caller.close();
      envoy.kill("SIGKILL");
      if (envoy.exitCode === null && envoy.signalCode === null) await once(envoy, "exit");
      await server.stop();
    },
  };
}

function translated(
  { role }: Kind,
  at: NodePlace,
  endpoints: readonly Endpoint[],
  resources: readonly Resource[],
  stamp: { revision: number; token: string },
): XdsResource[] {
  const model = new MeshModel({
    system: "equality",
    revision: stamp.revision,
    resources,
    methods: METHODS,
    services: SERVICES,
    endpointsOf: (service) => endpoints.filter((endpoint) => endpoint.service === service),
  });
  const key: ViewKey = { role: role === "gateway" ? "gateway" : "outbound", proven: false, zone: "" };
  const view = new MeshView(model, key, stamp);
  const made: XdsResource[] = [];
  for (const [typeUrl, named] of view.fixed)
    for (const document of named.values()) made.push(encodeResource(typeUrl, document));
  for (const [typeUrl, , document] of view.endpointDocuments(null)) made.push(encodeResource(typeUrl, document));
  for (const [typeUrl, , document] of nodeDocuments(view, model, at, stamp))
    made.push(encodeResource(typeUrl, document));
  return made;
}

function startEnvoy({ name, role, service }: Kind, server: XdsServer): ChildProcess {
  const control = { host: "127.0.0.1", port: server.port };
  const rest = { version: "", zone: "", listen: null, outbound: null, app: null, admin: null, token: "", delta: false };
  const bootstrap = envoyBootstrap({ control, service, role, instance: name, ...rest });
  const flags = ["--concurrency", "1", "--disable-hot-restart", "-l", "off", "--drain-time-s", "1"];
  const envoy = spawn(tool("envoy"), ["--config-yaml", JSON.stringify(bootstrap), ...flags], { stdio: "ignore" });
  // However this process ends.
  const end = (): void => void envoy.kill("SIGKILL");
  process.once("exit", end);
  envoy.once("exit", () => process.removeListener("exit", end));
  return envoy;
}

/** Acknowledged, and seen at a probe of the very listener that calls come to. Throws what Envoy refuses. */
async function enforced(
  name: string,
  server: XdsServer,
  port: number,
  token: string,
  revision: number,
  envoy: ChildProcess,
): Promise<void> {
  for (const until = performance.now() + APPLY_MS; performance.now() < until; await sleep(5)) {
    if (envoy.exitCode !== null || envoy.signalCode !== null) throw new Error(`${name} ended with ${envoy.exitCode}`);
    const [plane] = server.planes();
    const refusal = plane?.refusals[0];
    if (refusal !== undefined) throw new Error(`${name} refuses "${refusal.name}": ${refusal.reason}`);
    if ((plane?.revision ?? 0) < server.revision) continue;
    if ((await probed(port, token)) === String(revision)) return;
  }
  throw new Error(`${name} did not enforce revision ${revision} within ${APPLY_MS} ms`);
}

function probed(port: number, token: string): Promise<string> {
  return new Promise((resolve) => {
    const headers = { host: PROBE_HOST, [PROBE_FIELD]: token };
    const sent = request({ host: "127.0.0.1", port, headers, agent: false, timeout: 500 }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text) => (body += text));
      response.on("close", () => resolve(body));
    });
    sent.on("timeout", () => sent.destroy());
    sent.on("error", () => resolve(""));
    sent.end();
  });
}

const APPLY_MS = 20_000;
