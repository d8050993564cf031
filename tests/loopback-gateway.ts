import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Resource } from "../src/policy/resource/resources.ts";
import type { PolicyRuntime } from "../src/policy/runtime.ts";
import { createPolicyRuntime } from "../src/policy/snapshot/create-runtime.ts";
import { type Gateway, startGateway } from "../src/proxy/gateway.ts";
import { route } from "../src/system.ts";

/** A gateway on loopback in front of one HTTP/1.1 service, "origin", that a test writes. */
export interface LoopbackGateway extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly policy: PolicyRuntime;
  /** Requests that the service saw, in order. */
  readonly seen: readonly IncomingMessage[];
  /** Rejects when the exchange breaks off. */
  call(path: string, options?: CallOptions): Promise<Answer>;
}

export interface CallOptions {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: string;
  readonly ms: number;
}

export async function startLoopbackGateway(
  policies: readonly Resource[],
  serve: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<LoopbackGateway> {
  const seen: IncomingMessage[] = [];
  const server = createServer((incoming, response) => {
    seen.push(incoming);
    serve(incoming, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const policy = createPolicyRuntime();
  policy.applyResources(1, [...route("/").to("origin").resources(), ...policies], []);
  const parts = { version: "", zone: "", weight: 1, protocol: "http1", health: "healthy", metadata: {} } as const;
  const changed = [{ id: "origin-1", service: "origin", host: "127.0.0.1", port, ...parts }];
  policy.applyEndpoints({ endpointVersion: 1, full: true, changed, removed: [] });
  const gateway = await startGateway({ listen: { port: 0 }, policy, link: null, write: () => {} });
  return {
    gateway,
    policy,
    seen,
    call: (path, { method = "GET", headers = {}, body } = {}) =>
      new Promise((resolve, reject) => {
        const begun = performance.now();
        const sent = request(
          { host: gateway.host, port: gateway.port, path, method, headers, agent: false },
          (response) => {
            let text = "";
            response.on("data", (chunk) => (text += chunk));
            response.on("error", reject);
            response.on("end", () =>
              resolve({
                status: response.statusCode ?? 0,
                headers: response.headers,
                body: text,
                ms: performance.now() - begun,
              }),
            );
          },
        );
        sent.on("error", reject);
        sent.end(body);
      }),
    async [Symbol.asyncDispose]() {
      await gateway.stop(0);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
