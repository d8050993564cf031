import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { TestContext } from "node:test";
import type { Endpoint } from "../../core/endpoint.ts";
import { systemRandom } from "../../core/random.ts";
import { DecisionJournal } from "../../policy/decision/journal.ts";
import type { Resource } from "../../policy/resource/resources.ts";
import type { MethodInfo, PolicyRuntime } from "../../policy/runtime.ts";
import { createPolicyRuntime } from "../../policy/snapshot/create-runtime.ts";
import { type Sidecar, type SidecarOptions, startSidecar } from "./sidecar.ts";

/** An application that is not ours, as far as a sidecar can tell: Node's own HTTP/1.1 server. */
export interface TestApp {
  readonly port: number;
  readonly server: Server;
  readonly requests: { readonly method: string; readonly url: string; readonly headers: IncomingHttpHeaders }[];
}

export async function startApp(
  t: TestContext,
  answer: (request: IncomingMessage, response: ServerResponse) => void = (_request, response) => response.end("ok"),
  port = 0,
): Promise<TestApp> {
  const requests: { method: string; url: string; headers: IncomingHttpHeaders }[] = [];
  const server = createServer((incoming, response) => {
    requests.push({ method: incoming.method ?? "", url: incoming.url ?? "", headers: incoming.headers });
    answer(incoming, response);
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, server, requests };
}

export interface TestSidecar extends Sidecar {
  readonly policy: PolicyRuntime;
  readonly problems: string[];
}

/** A sidecar whose policy is given by hand. `endpoints` are what it knows of others. */
export async function startTestSidecar(
  t: TestContext,
  service: string,
  appPort: number,
  options: Partial<SidecarOptions> & {
    endpoints?: readonly Endpoint[];
    resources?: readonly Resource[];
    methods?: readonly MethodInfo[];
  } = {},
): Promise<TestSidecar> {
  const { endpoints = [], resources = [], methods = [], ...rest } = options;
  const policy = createPolicyRuntime({ random: systemRandom, journal: new DecisionJournal(), service });
  policy.applyResources(1, resources, methods);
  policy.applyEndpoints({ endpointVersion: 1, full: true, changed: endpoints, removed: [] });
  const problems: string[] = [];
  const sidecar = await startSidecar({
    service,
    app: { host: "127.0.0.1", port: appPort },
    policy,
    admin: null,
    accessLog: "off",
    onProblem: ({ message }) => problems.push(message),
    ...rest,
  });
  t.after(() => sidecar.stop(0));
  return Object.assign(sidecar, { policy, problems });
}

/** The endpoint by which a sidecar's inbound side is registered. */
export function endpointOf(sidecar: Sidecar, service: string, more: Partial<Endpoint> = {}): Endpoint {
  const { host, port } = sidecar.inbound;
  const fixed = { version: "", zone: "", weight: 1, protocol: "h2c", health: "healthy", metadata: {} } as const;
  return { id: `${service}-${port}`, service, host, port, ...fixed, ...more };
}

/** One request of Node's own client to `port`, with a path or an absolute target. */
export function ask(
  port: number,
  path: string,
  options: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<{ status: number; headers: IncomingHttpHeaders; body: string }> {
  return new Promise((resolve, reject) => {
    const { method = "GET", headers = {}, body } = options;
    const call = request({ host: "127.0.0.1", port, path, method, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
      response.on("error", reject);
    });
    call.on("error", reject);
    call.end(body);
  });
}

/** The application takes WebSockets and sends back what comes. */
export function echoWebSockets(server: Server): void {
  server.on("upgrade", (_incoming, socket: Socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    socket.pipe(socket);
  });
}

/** What comes back of "hello" over a WebSocket to `host`, by the outbound port. */
export function webSocketEcho(port: number, host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({
      port,
      path: "/socket",
      headers: {
        host,
        connection: "upgrade",
        upgrade: "websocket",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-version": "13",
      },
    });
    call.on("upgrade", (_response, socket) => {
      socket.once("data", (bytes) => {
        resolve(bytes.toString());
        socket.destroy();
      });
      socket.write("hello");
    });
    call.on("response", ({ statusCode }) => reject(new Error(`status ${statusCode}`)));
    call.on("error", reject);
    call.end();
  });
}
