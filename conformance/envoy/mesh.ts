import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type Agent, createServer, type IncomingHttpHeaders, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type ControlPlane, type IdentityOptions, startControlPlane } from "../../src/control/control-plane.ts";
import { envoyBootstrap } from "../../src/control/xds/envoy-bootstrap.ts";
import { parseControlPin } from "../../src/core/control-pin.ts";
import type { Endpoint } from "../../src/core/endpoint.ts";
import { encodeJoinToken } from "../../src/core/join-token.ts";
import { createMemoryRegistry } from "../../src/drivers/memory/memory-registry.ts";
import { controlSecurityOf } from "../../src/link/control-security.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { freePort } from "../free-port.ts";
import { tool } from "../tools.ts";

const OPERATOR = "operator-of-the-suite-0123456789abcdef";

const root = join(import.meta.dirname, "..", "..");
/** As published; from its sources when the suites are run so (`node -C weft-source conformance/run.ts`). */
const weft = process.execArgv.includes("weft-source")
  ? ["-C", "weft-source", join(root, "src", "cli", "main.ts")]
  : [join(root, "dist", "cli", "main.js")];

/** A control plane in this process, stock Envoys that take everything from it, and backends that say what they got. */
export class Mesh implements AsyncDisposable {
  /** The operator's token. */
  static readonly operator = OPERATOR;
  readonly control: ControlPlane;
  readonly registry: Registry;
  readonly events: string[];
  /** For what the suite writes. */
  readonly folder = mkdtempSync(join(tmpdir(), "weft-envoy-"));
  readonly #servers: Server[] = [];
  readonly #children: ChildProcess[] = [];

  private constructor(control: ControlPlane, registry: Registry, events: string[]) {
    this.control = control;
    this.registry = registry;
    this.events = events;
  }

  static async start(identity: IdentityOptions = {}): Promise<Mesh> {
    const registry = createMemoryRegistry();
    const events: string[] = [];
    const control = await startControlPlane({
      registry,
      system: "shop",
      identity: { ...identity, operatorToken: OPERATOR, onEvent: (event) => events.push(event) },
      health: { defaults: { kind: "ttl" } },
    });
    return new Mesh(control, registry, events);
  }

  /** Of the control plane's roots. */
  get pins(): readonly string[] {
    return parseControlPin(this.control.pin)?.pins ?? [];
  }

  token(service: string, id = "a".repeat(22), uses = 100): string {
    return encodeJoinToken(
      { system: "shop", service, id, expiresMs: Date.now() + 600_000, uses, pins: this.pins },
      OPERATOR,
    );
  }

  async publish(text: string): Promise<void> {
    await this.control.publish({ text, source: "suite", author: "suite", reason: "" });
  }

  register(endpoint: Pick<Endpoint, "id" | "service" | "port"> & Partial<Endpoint>): Promise<unknown> {
    const plain = {
      host: "127.0.0.1",
      version: "",
      zone: "",
      weight: 1,
      protocol: "http1",
      health: "healthy",
      metadata: {},
    };
    return this.registry.register({ ...plain, ...endpoint } as Endpoint, 600_000);
  }

  /** An HTTP/1.1 backend. `answer` is given the number of the request, from 1. */
  async backend(
    service: string,
    version: string,
    answer: (
      n: number,
      headers: IncomingHttpHeaders,
      url: string,
    ) => { status?: number; delayMs?: number } = () => ({}),
  ): Promise<{ port: number; readonly requests: number }> {
    let requests = 0;
    const server = createServer((incoming, response) => {
      requests++;
      incoming.resume();
      const { status = 200, delayMs = 0 } = answer(requests, incoming.headers, incoming.url ?? "");
      setTimeout(() => {
        const { method, url, headers } = incoming;
        response.writeHead(status, { "content-type": "application/json", "x-from-backend": version });
        response.end(JSON.stringify({ service, version, method, url, headers }));
      }, delayMs);
    });
    await this.#listen(server);
    const { port } = server.address() as AddressInfo;
    await this.register({ id: `${service}-${version}-${port}`, service, version, port });
    return {
      port,
      get requests() {
        return requests;
      },
    };
  }

  /** An HTTP/1.1 application that is registered nowhere. */
  async application(): Promise<number> {
    const server = createServer((incoming, response) => {
      response.end(JSON.stringify({ url: incoming.url, headers: incoming.headers }));
    });
    await this.#listen(server);
    return (server.address() as AddressInfo).port;
  }

  async #listen(server: Server): Promise<void> {
    // Envoy would send a call on a connection that is closed for being idle at that moment.
    server.keepAliveTimeout = 0;
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    this.#servers.push(server);
  }

  /** A stock Envoy; ready when it answers on `admin`. */
  async envoy(
    service: string,
    place: {
      listen?: number;
      outbound?: number;
      app?: number;
      token?: boolean;
      delta?: boolean;
      /** Where it takes the control plane to be. */
      control?: number;
      /** Of the bootstrap, what is otherwise. */
      otherwise?: object;
    },
  ): Promise<{ admin: number; child: ChildProcess; lines: readonly string[] }> {
    const { listen, outbound, app, token = true, delta = true, control = this.control.port, otherwise } = place;
    const at = (port: number | undefined) => (port === undefined ? null : { host: "127.0.0.1", port });
    const admin = await freePort();
    const shown = token ? this.token(service) : "";
    const security = token ? controlSecurityOf(shown, this.control.address) : null;
    await security?.prepare();
    const bootstrap = envoyBootstrap({
      control: { host: this.control.host, port: control },
      service,
      role: service === "gateway" ? "gateway" : "sidecar",
      instance: `${service}-envoy`,
      version: "",
      zone: "",
      listen: at(listen),
      outbound: at(outbound),
      app: at(app),
      admin: at(admin),
      token: shown,
      ...(security !== null && { trust: { system: "shop", roots: security.current.trust } }),
      delta,
    });
    const file = join(this.folder, `${service}-${admin}.json`);
    writeFileSync(file, JSON.stringify({ ...bootstrap, ...otherwise }), { mode: 0o600 });
    const args = [
      "-c",
      file,
      "--disable-hot-restart",
      "--concurrency",
      "1",
      "-l",
      "warning",
      "--file-flush-interval-msec",
      "100",
      "--log-path",
      `${file}.log`,
    ];
    const child = spawn(tool("envoy"), args, { stdio: ["ignore", "ignore", "pipe"] });
    const lines = linesOf(child);
    this.#children.push(child);
    await until(async () => (await call({ port: admin, path: "/ready" })).status === 200, "Envoy to be ready", START_S);
    return { admin, child, lines };
  }

  /** weft's own sidecar, for calls out and, with `app`, in. */
  async sidecar(
    service: string,
    place: { outbound: number; listen?: number; app?: number; admin?: number },
  ): Promise<{ child: ChildProcess; lines: readonly string[] }> {
    const { outbound, listen, app, admin } = place;
    const inbound = listen === undefined ? [] : ["--listen", `127.0.0.1:${listen}`];
    const args = ["sidecar", "--service", service, "--app", `127.0.0.1:${app ?? 9}`, ...inbound];
    args.push("--control", this.control.address, "--outbound", `127.0.0.1:${outbound}`);
    if (admin !== undefined) args.push("--admin", `127.0.0.1:${admin}`);
    const env = { ...process.env, WEFT_JOIN_TOKEN: this.token(service) };
    const child = spawn(process.execPath, [...weft, ...args], { stdio: ["ignore", "ignore", "pipe"], env });
    const lines = linesOf(child);
    this.#children.push(child);
    await until(
      async () => (await call({ port: outbound, headers: { host: "nobody.weft" } })).status > 0,
      "the sidecar",
      START_S,
    );
    return { child, lines };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    for (const server of this.#servers) {
      server.closeAllConnections();
      server.close();
    }
    await this.control.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** What it says on its standard error. */
function linesOf(child: ChildProcess): readonly string[] {
  const lines: string[] = [];
  if (child.stderr !== null) createInterface(child.stderr).on("line", (line) => void lines.push(line));
  return lines;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: what a backend or Envoy says, looked at by the case that asked
  readonly json: any;
}

export function call(options: {
  port: number;
  path?: string;
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  agent?: Agent | false;
}): Promise<Answer> {
  const { port, path = "/", method = "GET", headers = {}, body, agent = false } = options;
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, path, method, headers, agent, timeout: 10_000 }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => (text += chunk));
      response.on("end", () => {
        let json: unknown = null;
        try {
          json = JSON.parse(text);
        } catch {
          // not every answer is JSON
        }
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json });
      });
      response.on("error", reject);
    });
    sent.on("error", reject);
    sent.on("timeout", () => sent.destroy(new Error("no answer within 10 s")));
    sent.end(body);
  });
}

/** Of a process, which others on the machine may hold up. */
const START_S = 40;

/** Asks again until it holds, for so many seconds. */
export async function until(holds: () => Promise<boolean>, what: string, seconds = 10): Promise<void> {
  for (const end = performance.now() + 1_000 * seconds; ; ) {
    if (await holds().catch(() => false)) return;
    if (performance.now() > end) throw new Error(`waited ${seconds} s in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
