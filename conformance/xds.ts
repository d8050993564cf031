import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { envoyBootstrap } from "../src/control/xds/envoy-bootstrap.ts";
import {
  cluster,
  endpoints,
  listener,
  route,
  routeConfiguration,
  secret,
  serveXds,
  virtualHost,
  type XdsResource,
  type XdsServer,
} from "../src/xds.ts";
import { freePort } from "./free-port.ts";
import type { Case, Suite } from "./suite.ts";
import { tool } from "./tools.ts";
import { changeLatencies } from "./xds-scale.ts";

/**
 * The xDS server against clients that others wrote: a stock Envoy by delta and by whole states, grpc-go and grpc-js. WEFT_XDS_REVISIONS revisions
 * (default 100, at 17 a second: 1,000 in a minute) are published under load.
 */
export const xds: Suite = {
  name: "xds",
  tools: ["envoy", "grpc-interop-server", "grpc-interop-client", "grpc-js-xds"],
  run,
};

const root = join(import.meta.dirname, "..");
/** Says that a process hangs, not that it is slow. */
const HANGS_MS = 40_000;
const REVISIONS = Number(process.env.WEFT_XDS_REVISIONS ?? 100);

async function run(): Promise<Case[]> {
  const done: Case[] = [];
  const check = async (name: string, what: () => Promise<unknown>) => {
    try {
      await what();
      done.push({ name, ok: true });
    } catch (thrown) {
      done.push({ name, ok: false, detail: thrown instanceof Error ? thrown.message : String(thrown) });
    }
  };
  for (const role of ["sidecar", "gateway"] as const) {
    await check(`envoy --mode validate takes the bootstrap of a ${role}`, () => validates(role));
  }
  await check("the example in one file: a cluster, a route and a listener, and traffic flows", example);
  for (const delta of [true, false]) {
    const how = delta ? "delta" : "state of the world";
    await withMesh(delta, async (mesh) => {
      await check(`${how}: Envoy takes everything that the builders make`, () => everything(mesh));
      await check(`${how}: a refused resource is known by name and reason, and the old one stays`, () => refused(mesh));
      await check(`${how}: ${REVISIONS} revisions that each replace the cluster, and no call fails`, () =>
        revisions(mesh),
      );
      await check(`${how}: the server restarts with other resources, Envoy comes back for them and no call fails`, () =>
        restart(mesh),
      );
      await check(`${how}: Envoy is killed, and has all of it again when it is back`, () => killed(mesh));
      await check(`${how}: Envoy reports its load`, () => loads(mesh));
    });
  }
  await check("1,000 services, 10,000 endpoints: a change is with all data planes within a second", async () => {
    const latencies = await changeLatencies();
    const p99 = latencies[Math.floor(latencies.length * 0.99)];
    if (!(p99 < 1_000)) throw new Error(`p99 is ${Math.round(p99)} ms`);
  });
  await check("grpc-go calls xds:///interop", () => grpc("go"));
  await check("grpc-js calls xds:///interop", () => grpc("js"));
  return done;
}

/** A server, one Envoy, and backends; what they need is in `folder`. */
class Mesh {
  readonly folder = mkdtempSync(join(tmpdir(), "weft-xds-"));
  readonly delta: boolean;
  readonly lines: string[] = [];
  readonly backends: Server[] = [];
  server!: XdsServer;
  envoy!: ChildProcess;
  port = 0;
  admin = 0;

  constructor(delta: boolean) {
    this.delta = delta;
  }

  async start(): Promise<void> {
    this.port = await freePort();
    this.admin = await freePort();
    for (const name of ["one", "two"]) this.backends.push(await backend(name));
    this.server = await serveXds({ resources: this.simple(), log: (line) => this.lines.push(line) });
    await this.startEnvoy();
  }

  async startEnvoy(): Promise<void> {
    const config = join(this.folder, "envoy.json");
    const bootstrap = envoyBootstrap({
      control: this.server,
      service: "shop",
      role: "sidecar",
      instance: "envoy-1",
      version: "",
      zone: "",
      listen: null,
      outbound: null,
      app: null,
      admin: { host: "127.0.0.1", port: this.admin },
      token: "",
      delta: this.delta,
    });
    writeFileSync(config, JSON.stringify(bootstrap));
    const args = ["-c", config, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"];
    this.envoy = spawn(tool("envoy"), args, { stdio: "ignore" });
    await this.until("Envoy takes calls", async () => (await this.get()).status === 200);
  }

  async stop(): Promise<void> {
    await kill(this.envoy);
    await this.server.stop();
    for (const one of this.backends) {
      one.closeAllConnections();
      one.close();
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  get addresses(): string[] {
    return this.backends.map((one) => `127.0.0.1:${(one.address() as AddressInfo).port}`);
  }

  /** A listener, a route and a cluster with its endpoints. */
  simple(name = "shop", more: readonly XdsResource[] = []): XdsResource[] {
    return [
      cluster(name),
      endpoints(name, this.addresses),
      routeConfiguration("main", [
        virtualHost("all", ["*"], [route("/", { to: name, responseHeaders: { "x-cluster": name } })]),
      ]),
      listener("in", { address: `127.0.0.1:${this.port}`, routes: "main" }),
      ...more,
    ];
  }

  get(path = "/", headers = {}, agent?: Agent): Promise<{ status: number; body: string; cluster: string }> {
    return new Promise((resolve) => {
      const call = request(
        { host: "127.0.0.1", port: this.port, path, headers, agent: agent ?? false, timeout: 5_000 },
        (response) => {
          let body = "";
          response.on("data", (chunk) => (body += chunk));
          response.on("end", () =>
            resolve({ status: response.statusCode ?? 0, body, cluster: `${response.headers["x-cluster"]}` }),
          );
        },
      );
      call.on("timeout", () => call.destroy());
      call.on("error", (error) => resolve({ status: 0, body: error.message, cluster: "" }));
      call.end();
    });
  }

  async until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    for (const end = Date.now() + HANGS_MS; !(await condition()); ) {
      if (Date.now() > end)
        throw new Error(
          `it does not come to pass that ${what}; ${this.lines.join("; ")}; ${JSON.stringify(this.plane)}`,
        );
      await sleep(20);
    }
  }

  get plane() {
    return this.server.planes()[0];
  }

  /** Publishes, and waits until Envoy has accepted all of it. */
  async publish(resources: readonly XdsResource[]): Promise<void> {
    this.server.update(resources);
    await this.until(
      `revision ${this.server.revision} is accepted`,
      () => this.plane?.revision === this.server.revision,
    );
  }
}

async function withMesh(delta: boolean, use: (mesh: Mesh) => Promise<void>): Promise<void> {
  const mesh = new Mesh(delta);
  try {
    await mesh.start();
    await use(mesh);
  } finally {
    await mesh.stop();
  }
}

async function validates(role: "sidecar" | "gateway"): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "weft-xds-"));
  try {
    const who =
      role === "gateway"
        ? ["--gateway"]
        : ["--service", "orders", "--app", "3000", "--listen", "15006", "--outbound", "15001"];
    for (const more of [[], ["--sotw", "--json"]]) {
      const file = join(folder, more.length === 0 ? "envoy.yaml" : "envoy.json");
      writeFileSync(file, weft("envoy-bootstrap", ...who, "--control", "127.0.0.1:7070", "--admin", "9901", ...more));
      execFileSync(tool("envoy"), ["--mode", "validate", "-c", file, "--log-level", "error"], {
        encoding: "utf8",
        stdio: "pipe",
      });
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** As a person would: the built package, the file, and what the command prints. */
async function example(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "weft-xds-"));
  const [xdsPort, listenPort] = [await freePort(), await freePort()];
  const env = { ...process.env, XDS_PORT: `${xdsPort}`, LISTEN_PORT: `${listenPort}` };
  const server = spawn(process.execPath, [join(root, "examples", "xds", "main.ts")], {
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let envoy: ChildProcess | null = null;
  try {
    const ended = once(server, "exit").then(([status]) =>
      Promise.reject(new Error(`the example ended with ${status}`)),
    );
    await Promise.race([once(server.stdout, "data"), ended]);
    ended.catch(() => {});
    const file = join(folder, "envoy.yaml");
    writeFileSync(file, weft("envoy-bootstrap", "--service", "hello", "--control", `127.0.0.1:${xdsPort}`));
    envoy = spawn(tool("envoy"), ["-c", file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"], {
      stdio: "ignore",
    });
    const url = `http://127.0.0.1:${listenPort}/`;
    let body = "";
    for (const end = Date.now() + HANGS_MS; body !== "hello\n" && Date.now() < end; await sleep(50)) {
      body = await fetch(url).then(
        (response) => response.text(),
        () => "",
      );
    }
    if (body !== "hello\n") throw new Error(`it answers ${JSON.stringify(body)}`);
  } finally {
    if (envoy !== null) await kill(envoy);
    await kill(server);
    rmSync(folder, { recursive: true });
  }
}

async function everything(mesh: Mesh): Promise<void> {
  const [one, two] = mesh.addresses;
  const [secure, raw] = [await freePort(), await freePort()];
  const key = join(mesh.folder, "key.pem");
  const pem = join(mesh.folder, "cert.pem");
  const openssl = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost,URI:spiffe://shop/a -keyout ${key} -out ${pem}`;
  execFileSync("openssl", openssl.split(" "), { stdio: "pipe" });
  const { readFileSync } = await import("node:fs");
  const certificate = readFileSync(pem, "utf8");
  await mesh.publish(
    [
      ...mesh.simple(),
      secret("own", { certificate, privateKey: readFileSync(key, "utf8") }),
      secret("trust", { trust: certificate, uris: ["spiffe://shop/a"] }),
      cluster("full", {
        endpoints: [
          { address: one, weight: 2, zone: "a", metadata: { version: "v1" } },
          { address: two, priority: 1 },
        ],
        balancer: "least-request",
        limits: { connections: 10, pendingRequests: 10, requests: 10, retries: 1 },
        outlier: { consecutiveFailures: 5 },
        healthCheck: { path: "/" },
      }),
      cluster("tls", {
        endpoints: [`127.0.0.1:${secure}`],
        protocol: "http1",
        tls: { trust: "trust", certificate: "own", sni: "localhost" },
      }),
      routeConfiguration("all", [
        virtualHost(
          "all",
          ["*"],
          [
            route("/full", {
              to: { full: 50, shop: 50 },
              timeoutMs: 1_000,
              retry: { attempts: 1 },
              rewritePrefix: "/",
            }),
            route(
              { path: "/teapot", method: "GET", headers: { "x-a": "b" }, query: { c: "d" } },
              { respond: { status: 418, body: "no" } },
            ),
            route({ regex: "/old/.*" }, { redirect: { path: "/new", status: 308 } }),
            route("/tls", { to: "tls", rewriteHost: "localhost" }),
          ],
        ),
      ]),
      listener("secure", {
        address: `127.0.0.1:${secure}`,
        routes: "main",
        tls: { certificate: "own", clientTrust: "trust" },
      }),
      listener("raw", { address: `127.0.0.1:${raw}`, tcp: "full" }),
      listener("in", { address: `127.0.0.1:${mesh.port}`, routes: "all", accessLog: false }),
    ].filter(
      (resource, at, all) =>
        all.findLastIndex((other) => other.name === resource.name && other.typeUrl === resource.typeUrl) === at,
    ),
  );
  await mesh.until("routes are there", async () => (await mesh.get("/old/x")).status === 308);
  expect((await mesh.get("/teapot?c=d", { "x-a": "b" })).status, 418);
  expect((await mesh.get("/teapot")).status, 404);
  expect((await mesh.get("/full")).status, 200);
  // Through the own TLS listener, by both certificates of SDS.
  await mesh.until("calls over TLS are answered", async () => (await mesh.get("/tls")).status === 200);
  expect(/^(one|two)$/.test(await (await fetch(`http://127.0.0.1:${raw}/`)).text()), true);
  await mesh.publish(mesh.simple());
}

async function refused(mesh: Mesh): Promise<void> {
  await mesh.publish(mesh.simple());
  const before = mesh.lines.length;
  const bad = cluster("bad", {
    endpoints: ["127.0.0.1:1"],
    message: { lbConfig: { case: "ringHashLbConfig", value: { minimumRingSize: 99_999_999n } }, lbPolicy: 2 },
  });
  // The same revision moves the route: it must not be taken by halves.
  mesh.server.update([
    ...mesh.simple("shop").filter(({ name }) => name !== "main"),
    bad,
    cluster("good"),
    endpoints("good", mesh.addresses),
    routeConfiguration("main", [virtualHost("all", ["*"], [route("/", { to: { bad: 50, good: 50 } })])]),
  ]);
  await mesh.until("the refusal is known", () => (mesh.plane?.refusals.length ?? 0) > 0);
  const [{ name, reason }] = mesh.plane.refusals;
  expect(name, "bad");
  expect(reason.length > 10, true);
  expect(
    mesh.lines.slice(before).some((line) => line.includes('refuses Cluster "bad"')),
    true,
  );
  await sleep(300);
  expect(mesh.plane.refusals.length, 1);
  expect(mesh.plane.revision < mesh.server.revision, true);
  for (let i = 0; i < 20; i++) {
    const { status, cluster: name } = await mesh.get();
    expect(`${status} ${name}`, "200 shop");
  }
  await mesh.publish(mesh.simple());
  expect(mesh.plane.refusals.length, 0);
}

async function revisions(mesh: Mesh): Promise<void> {
  await mesh.publish(mesh.simple());
  const load = underLoad(mesh);
  const began = Date.now();
  for (let i = 1; i <= REVISIONS; i++) {
    mesh.server.update(mesh.simple(`shop-${i}`));
    await sleep(Math.max(0, began + (i * 60_000) / 1_000 - Date.now()));
  }
  await mesh.until("the last revision is accepted", () => mesh.plane?.revision === mesh.server.revision);
  await mesh.until("calls follow it", async () => (await mesh.get()).cluster === `shop-${REVISIONS}`);
  await load.end(200);
  const clusters = await (await fetch(`http://127.0.0.1:${mesh.admin}/clusters`)).text();
  const left = new Set([...clusters.matchAll(/^(shop[\w-]*)::/gm)].map(([, name]) => name));
  expect([...left].join(), `shop-${REVISIONS}`);
}

async function restart(mesh: Mesh): Promise<void> {
  await mesh.publish(mesh.simple());
  const load = underLoad(mesh);
  const { port } = mesh.server;
  await mesh.server.stop();
  await sleep(300);
  // By whole states it does not say what it has from before, so that nobody could know what to leave for its old routes.
  const kept = mesh.delta ? [] : mesh.simple().filter(({ name }) => name === "shop");
  mesh.server = await serveXds({ port, resources: mesh.simple("after", kept), log: (line) => mesh.lines.push(line) });
  await mesh.until("Envoy is back", () => mesh.plane?.revision === 1);
  await mesh.until("calls follow", async () => (await mesh.get()).cluster === "after");
  await load.end(20);
}

async function killed(mesh: Mesh): Promise<void> {
  await mesh.publish(mesh.simple("again"));
  mesh.envoy.kill("SIGKILL");
  await once(mesh.envoy, "exit");
  await mesh.until("the server notices", () => mesh.server.planes().length === 0);
  await mesh.startEnvoy();
  expect((await mesh.get()).cluster, "again");
}

async function loads(mesh: Mesh): Promise<void> {
  await mesh.until("20 calls are reported", async () => {
    await mesh.get();
    return (mesh.plane?.loads.find(({ cluster: name }) => name === "again")?.calls ?? 0) >= 20;
  });
}

/** Calls all the time over 8 connections; `end` fails unless all of at least `atLeast` were answered 200. */
function underLoad(mesh: Mesh): { end(atLeast: number): Promise<void> } {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  let going = true;
  let calls = 0;
  const failures: string[] = [];
  const worker = async () => {
    while (going) {
      const { status, body } = await mesh.get("/", {}, agent);
      calls++;
      if (status !== 200) failures.push(`${status} ${body}`);
      await sleep(2);
    }
  };
  const workers = Array.from({ length: 8 }, worker);
  return {
    async end(atLeast) {
      going = false;
      await Promise.all(workers);
      agent.destroy();
      if (failures.length > 0)
        throw new Error(
          `${failures.length} of ${calls} calls failed: ${[...new Set(failures)].slice(0, 5).join("; ")}`,
        );
      if (calls < atLeast) throw new Error(`only ${calls} calls were made`);
    },
  };
}

async function grpc(language: "go" | "js"): Promise<void> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), "weft-xds-"));
  const backendProcess = spawn(tool("grpc-interop-server"), ["-port", `${port}`], { stdio: "ignore" });
  const server = await serveXds({
    resources: [
      listener("interop", { grpcClient: true, routes: "interop" }),
      routeConfiguration("interop", [virtualHost("all", ["*"], [route("/", { to: "interop" })])]),
      cluster("interop", { protocol: "h2c" }),
      endpoints("interop", [`127.0.0.1:${port}`]),
      cluster("not-used"),
    ],
  });
  try {
    const file = join(folder, "bootstrap.json");
    const xdsServer = {
      server_uri: server.address,
      channel_creds: [{ type: "insecure" }],
      server_features: ["xds_v3"],
    };
    writeFileSync(
      file,
      JSON.stringify({ xds_servers: [xdsServer], node: { id: `${language}-1`, cluster: "caller", locality: {} } }),
    );
    await untilOpen(port);
    const seen = server.planes.bind(server);
    const env = { ...process.env, GRPC_XDS_BOOTSTRAP: file };
    const target = "xds:///interop";
    const go = () =>
      spawn(
        tool("grpc-interop-client"),
        [`-server_host=${target}`, "-server_port=0", "-use_tls=false", "-test_case=ping_pong"],
        { env },
      );
    const client = language === "go" ? go() : spawn(process.execPath, [tool("grpc-js-xds"), target], { env });
    let printed = "";
    client.stderr.on("data", (chunk) => (printed += chunk));
    let nodes = "";
    const look = setInterval(
      () =>
        (nodes ||= seen()
          .map(({ node }) => `${node.id} ${node.role}`)
          .join()),
      1,
    );
    const cut = setTimeout(() => client.kill("SIGKILL"), HANGS_MS);
    const [status] = await once(client, "exit");
    clearInterval(look);
    clearTimeout(cut);
    if (status !== 0) throw new Error(`it ended with ${status}: ${printed.slice(-400)}`);
    expect(nodes, `${language}-1 client`);
  } finally {
    await server.stop();
    await kill(backendProcess);
    rmSync(folder, { recursive: true });
  }
}

async function backend(name: string): Promise<Server> {
  const server = createServer((_, response) => response.end(name)).listen(0, "127.0.0.1");
  server.keepAliveTimeout = 0;
  await once(server, "listening");
  return server;
}

async function untilOpen(port: number): Promise<void> {
  const { connect } = await import("node:net");
  for (const end = performance.now() + HANGS_MS; performance.now() < end; ) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1", () => resolve(socket.destroy() !== null));
      socket.on("error", () => resolve(false));
    });
    if (open) return;
    await sleep(50);
  }
  throw new Error(`nothing listens on ${port}`);
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

function weft(...args: string[]): string {
  return execFileSync(process.execPath, [join(root, "dist", "cli", "main.js"), ...args], { encoding: "utf8" });
}

function expect(found: unknown, wanted: unknown): void {
  if (found !== wanted) throw new Error(`it is ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
