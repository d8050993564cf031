import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { startWireServer } from "../call/loopback.case.ts";
import { CheckRequestSchema, CheckResponseSchema } from "../contract/gen/envoy/service/auth/v3/external_auth.ts";
import { create } from "../contract/runtime.ts";
import { authorization } from "../policy/builders.ts";
import { startSecured } from "./secured.case.ts";

async function startAuthorizer(t: TestContext, serve: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(serve);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("a service over HTTP allows, adds fields, or answers in its own words", async (t) => {
  const asked: IncomingMessage[] = [];
  const url = await startAuthorizer(t, (request, response) => {
    asked.push(request);
    const { authorization: who } = request.headers;
    if (who === "Bearer good") response.writeHead(200, { "x-user": "ali", "x-other": "no" }).end();
    else if (who === "Bearer login")
      response.writeHead(302, { location: "https://id.example/", "x-secret": "1" }).end();
    else response.writeHead(403, { "content-type": "text/html", "x-secret": "1" }).end("<h1>No</h1>");
  });
  const rules = authorization("shop").ask(
    { http: { url: `${url}/check` }, timeout: "5s", upstreamHeaders: ["x-user"] },
    { name: "authz", paths: ["/orders/*"] },
  );
  const world = await startSecured(t, rules.resources());
  const call = (path: string, token: string): Promise<Response> =>
    fetch(world.url + path, {
      redirect: "manual",
      headers: { authorization: `Bearer ${token}`, "x-user": "root", "x-private": "1" },
    });
  const good = await call("/orders/7?a=b", "good");
  assert.equal(good.status, 200);
  const fields = (await good.json()) as Record<string, string>;
  assert.equal(fields["x-user"], "ali");
  assert.equal(fields["x-other"], undefined);
  assert.equal(asked[0].method, "GET");
  assert.equal(asked[0].url, "/check/orders/7?a=b");
  assert.equal(asked[0].headers["x-private"], undefined);
  assert.equal(asked[0].headers["x-forwarded-uri"], "/orders/7?a=b");
  const denied = await call("/orders/7", "bad");
  assert.equal(denied.status, 403);
  assert.equal(await denied.text(), "<h1>No</h1>");
  assert.equal(denied.headers.get("content-type"), "text/html");
  assert.equal(denied.headers.get("x-secret"), null);
  assert.match(world.newest().nearest, /would have passed if the service of Authorization shop, rule authz had agreed/);
  const login = await call("/orders/7", "login");
  assert.equal(login.status, 302);
  assert.equal(login.headers.get("location"), "https://id.example/");
  assert.equal((await call("/products", "bad")).status, 200);
  assert.equal(asked.length, 3);
  assert.ok(!world.decisions().includes("Bearer"));
});

test("no answer denies, or lets pass where the policy says so; 5xx is no answer", async (t) => {
  const url = await startAuthorizer(t, (request, response) => {
    if (request.url?.startsWith("/broken")) response.writeHead(500).end();
    if (request.url?.startsWith("/trickle")) {
      response.writeHead(200, { "content-length": "1000" });
      const trickles = setInterval(() => response.write("x"), 10);
      response.on("close", () => clearInterval(trickles));
    }
    // otherwise: silence
  });
  const ask = (path: string, fail: "open" | "closed") =>
    authorization("shop")
      .ask({ http: { url: url + path }, timeout: "50ms", fail })
      .resources();
  const world = await startSecured(t, ask("/broken", "closed"));
  const status = async (): Promise<number> => (await fetch(world.url)).status;
  assert.equal(await status(), 403);
  world.apply(ask("/silent", "closed"));
  assert.equal(await status(), 403);
  assert.match(world.newest().nearest, /if the service of .* had answered, or with fail: open/);
  world.apply(ask("/silent", "open"));
  assert.equal(await status(), 200);
  world.apply(ask("/trickle", "closed"));
  assert.equal(await status(), 403);
  world.apply(ask("/broken", "open"));
  assert.equal(await status(), 200);
});

test("answers are used again for as long as told, for calls that look the same", async (t) => {
  let asked = 0;
  const url = await startAuthorizer(t, (_request, response) => {
    asked++;
    response.writeHead(200).end();
  });
  const world = await startSecured(
    t,
    authorization("shop").ask({ http: { url }, timeout: "5s", cacheFor: "1m" }).resources(),
  );
  const call = async (path: string, token: string): Promise<void> => {
    assert.equal((await fetch(world.url + path, { headers: { authorization: token } })).status, 200);
  };
  for (let i = 0; i < 3; i++) await call("/a", "one");
  assert.equal(asked, 1);
  await call("/b", "one");
  await call("/a", "two");
  assert.equal(asked, 3);
});

test("deny rules come first, allow rules next; who is refused there is not asked about", async (t) => {
  let asked = 0;
  const url = await startAuthorizer(t, (_request, response) => {
    asked++;
    response.writeHead(200).end();
  });
  const rules = authorization("shop")
    .ask({ http: { url }, timeout: "5s" })
    .allow({ paths: ["/a"] })
    .deny({ paths: ["/b"] });
  const world = await startSecured(t, rules.resources());
  assert.equal((await fetch(`${world.url}/b`)).status, 403);
  assert.equal((await fetch(`${world.url}/c`)).status, 403);
  assert.equal(asked, 0);
  assert.equal((await fetch(`${world.url}/a`)).status, 200);
  assert.equal(asked, 1);
});

test("a service that authorizes for Envoy over gRPC does so here", async (t) => {
  const seen: string[] = [];
  const server = await startWireServer((call) => {
    call.onMessage = (bytes) => {
      const { attributes } = fromBinary(CheckRequestSchema, bytes);
      const http = attributes?.request?.http;
      seen.push(`${call.head.path} ${http?.method} ${http?.path} ${http?.host !== ""} ${http?.headers.authorization}`);
      const good = http?.headers.authorization === "Bearer good";
      const header = (key: string, value: string) => ({ header: { key, value, rawValue: new Uint8Array() } });
      const answer = good
        ? {
            status: { code: 0 },
            httpResponse: {
              case: "okResponse" as const,
              value: {
                headers: [header("X-User", "ali"), header("x-other", "no")],
                headersToRemove: ["authorization"],
              },
            },
          }
        : {
            status: { code: 7 },
            httpResponse: {
              case: "deniedResponse" as const,
              value: { status: { code: 429 as never }, headers: [header("location", "/x")], body: "slow down" },
            },
          };
      call.reply(toBinary(CheckResponseSchema, create(CheckResponseSchema, answer)));
    };
  });
  t.after(() => server.close());
  const rules = authorization("shop").ask({
    grpc: { address: server.address },
    timeout: "5s",
    upstreamHeaders: ["x-user"],
  });
  const world = await startSecured(t, rules.resources());
  const good = await fetch(`${world.url}/orders?x=1`, { headers: { authorization: "Bearer good" } });
  assert.equal(good.status, 200);
  const fields = (await good.json()) as Record<string, string>;
  assert.deepEqual([fields["x-user"], fields["x-other"], fields.authorization], ["ali", undefined, undefined]);
  const denied = await fetch(`${world.url}/orders`);
  assert.equal(denied.status, 429);
  assert.equal(await denied.text(), "slow down");
  assert.equal(denied.headers.get("location"), "/x");
  assert.equal(seen[0], "/envoy.service.auth.v3.Authorization/Check GET /orders?x=1 true Bearer good");
});
