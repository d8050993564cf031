import assert from "node:assert/strict";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { test } from "node:test";
import { endpointAt } from "../../net/harness.case.ts";
import { type HealthCheck, resolveHealthCheck } from "./health-check.ts";
import { createProber } from "./probe.ts";

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

function proberOf(port: number, check: Partial<HealthCheck>) {
  const endpoint = endpointAt(port, "h2c");
  return createProber(endpoint, resolveHealthCheck(endpoint, { defaults: { timeoutMs: 200, ...check } }));
}

test("tcp: a listening port passes, a closed one is refused", async () => {
  const server = createServer((socket) => socket.on("error", () => {}));
  const port = await listening(server);
  const prober = proberOf(port, { kind: "tcp" });
  assert.deepEqual(await prober.probe(), { outcome: "passed", message: "" });
  await new Promise((resolve) => server.close(resolve));
  assert.deepEqual(await prober.probe(), { outcome: "refused", message: "connection refused" });
});

test("http: 200 to 399 passes, others and silence fail, with the reason", async () => {
  const server = createHttpServer((request, response) => {
    if (request.url === "/silent") return;
    response.writeHead(request.url === "/up" ? 204 : 503).end();
  });
  const port = await listening(server);
  assert.equal((await proberOf(port, { kind: "http", path: "/up" }).probe()).outcome, "passed");
  assert.deepEqual(await proberOf(port, { kind: "http", path: "/down" }).probe(), {
    outcome: "failed",
    message: "GET /down answered 503",
  });
  assert.deepEqual(await proberOf(port, { kind: "http", path: "/silent" }).probe(), {
    outcome: "failed",
    message: "no answer within 200 ms",
  });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  assert.equal((await proberOf(port, { kind: "http" }).probe()).outcome, "refused");
});
