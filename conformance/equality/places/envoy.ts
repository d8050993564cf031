import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { createDirectClient } from "../../../src/call/direct.ts";
import { Admin } from "../../../src/contract/gen/weft/control/v1/control.ts";
import { descriptorSetOf } from "../../../src/contract/index.ts";
import { type ControlPlane, startControlPlane } from "../../../src/control/control-plane.ts";
import { envoyBootstrap } from "../../../src/control/xds/envoy-bootstrap.ts";
import { parseControlPin } from "../../../src/core/control-pin.ts";
import type { Endpoint } from "../../../src/core/endpoint.ts";
import { encodeJoinToken } from "../../../src/core/join-token.ts";
import { createMemoryRegistry } from "../../../src/drivers/memory/memory-registry.ts";
import { controlSecurityOf } from "../../../src/link/control-security.ts";
import { createLink } from "../../../src/link/link.ts";
import type { DataPlane } from "../../../src/policy/check/enforcement.ts";
import type { Resource } from "../../../src/policy/resource/resources.ts";
import { createPolicyRuntime } from "../../../src/policy/snapshot/create-runtime.ts";
import { freePort } from "../../free-port.ts";
import { Trial } from "../../gen/weft/test/v1/trial.ts";
import { tool } from "../../tools.ts";
import { withBase, withFallThrough } from "../base.ts";
import type { Place } from "../model.ts";
import { RawCaller } from "../raw-call.ts";

interface Kind {
  readonly name: string;
  readonly role: "gateway" | "sidecar";
  readonly service: string;
  readonly planes: readonly DataPlane[];
  readonly takes: Place["takes"];
}

/**
 * Stock Envoys: a gateway, a sidecar's outbound side, and the inbound sides of one of "web" and one of "rpc". Each takes all that it has from a control plane of its own, as
 * `weft control` starts it (the same moment's resources differ from place to place): endpoints and contracts are registered over a line, resources are published, and a call is
 * made when the control plane says, as `weft mesh` prints it, that the Envoy enforces the revision.
 */
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
  const control = await startControlPlane({
    registry: createMemoryRegistry(),
    system: SYSTEM,
    identity: { operatorToken: OPERATOR },
    // Scripts say what becomes of calls; nobody looks in between.
    health: { defaults: { kind: "ttl" } },
  });
  const line = createLink({ address: control.address, policy: createPolicyRuntime(), process: "backends" });
  for (const { health: _health, ...endpoint } of endpoints) {
    const described = endpoint.service === "rpc";
    await line.register({
      endpoint,
      contracts: described ? [Trial.typeName] : [],
      descriptors: described ? descriptorSetOf([Trial]) : null,
    });
  }
  const mesh = createDirectClient(Admin, control.address);
  const app = isInbound ? endpoints.find(({ service }) => service === kind.service) : undefined;
  const at = { host: "127.0.0.1", port };
  const outwards = kind.role === "sidecar" && !isInbound;
  const envoy = await startEnvoy(kind, control, {
    listen: outwards ? null : at,
    outbound: outwards ? at : null,
    app: app === undefined ? null : { host: app.host, port: app.port },
  });
  const caller = new RawCaller(port);

  /** Acknowledged, and seen by the control plane's own probe of the listener. Throws what Envoy refuses. */
  const enforced = async (revision: number): Promise<void> => {
    for (const until = performance.now() + APPLY_MS; performance.now() < until; await sleep(5)) {
      if (envoy.exitCode !== null || envoy.signalCode !== null)
        throw new Error(`${kind.name} ended with ${envoy.exitCode}`);
      const { planes } = await mesh.client.getTopology({ services: [], probeTimeoutMs: PROBE_MS });
      const plane = planes.find((one) => one.kind === "envoy");
      const refusal = plane?.refusals[0];
      if (refusal !== undefined) throw new Error(`${kind.name} refuses ${refusal.resource}: ${refusal.reason}`);
      if (plane?.acknowledged === BigInt(revision) && plane.enforced === BigInt(revision)) return;
    }
    throw new Error(`${kind.name} did not enforce revision ${revision} within ${APPLY_MS} ms`);
  };

  return {
    name: kind.name,
    planes: kind.planes,
    tellsReasons: true,
    takes: kind.takes,
    async apply(scope, resources) {
      const all: Resource[] = withBase(scope, kind.role === "gateway" ? withFallThrough(scope, resources) : resources);
      const { revision } = await control.publish({ text: JSON.stringify(all), ...PUBLISHED });
      // Connections that were there are drained with the listener that they came to.
      caller.reset();
      await enforced(revision);
    },
    call: (_scope, asked, id) => caller.call(asked, id),
    async close() {
      caller.close();
      envoy.kill("SIGKILL");
      if (envoy.exitCode === null && envoy.signalCode === null) await once(envoy, "exit");
      await mesh.close();
      await line.close();
      await control.stop();
    },
  };
}

async function startEnvoy(
  { name, role, service }: Kind,
  control: ControlPlane,
  places: Pick<Parameters<typeof envoyBootstrap>[0], "listen" | "outbound" | "app">,
): Promise<ChildProcess> {
  const claims = { system: SYSTEM, service, id: "a".repeat(22), expiresMs: Date.now() + TOKEN_MS, uses: 1 };
  const token = encodeJoinToken({ ...claims, pins: parseControlPin(control.pin)?.pins ?? [] }, OPERATOR);
  const security = controlSecurityOf(token, control.address);
  await security?.prepare();
  const bootstrap = envoyBootstrap({
    control: { host: control.host, port: control.port },
    ...{ service, role, instance: name, version: "", zone: "", admin: null, delta: false, register: false },
    ...places,
    token,
    ...(security !== null && { trust: { system: SYSTEM, roots: security.current.trust } }),
  });
  const flags = ["--concurrency", "1", "--disable-hot-restart", "-l", "off", "--drain-time-s", "1"];
  const envoy = spawn(tool("envoy"), ["--config-yaml", JSON.stringify(bootstrap), ...flags], { stdio: "ignore" });
  // However this process ends.
  const end = (): void => void envoy.kill("SIGKILL");
  process.once("exit", end);
  envoy.once("exit", () => process.removeListener("exit", end));
  return envoy;
}

const SYSTEM = "equality";
const OPERATOR = "operator-of-the-suite-0123456789abcdef";
const PUBLISHED = { source: "suite", author: "suite", reason: "" };
const APPLY_MS = 20_000;
const PROBE_MS = 500;
/** Longer than any run. */
const TOKEN_MS = 24 * 3_600_000;
