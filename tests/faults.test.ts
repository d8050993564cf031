import assert from "node:assert/strict";
import { connect } from "node:http2";
import { test } from "node:test";
import { traffic } from "../src/system.ts";
import { startLoopbackGateway } from "./loopback-gateway.ts";

test("a gateway injects faults into real exchanges: delay, abort, reset, throttle", async () => {
  const policies = traffic("origin")
    .fault({
      delay: { fixed: "60ms" },
      throttle: { bytesPerSecond: 200_000 },
      match: [{ name: "x-chaos", value: "slow" }],
    })
    .resources();
  const body = "x".repeat(60_000);
  await using slow = await startLoopbackGateway(policies, (_request, response) => response.end(body));
  const plain = await slow.call("/");
  assert.equal(plain.body.length, 60_000);
  const slowed = await slow.call("/", { headers: { "x-chaos": "slow" } });
  assert.equal(slowed.body, body);
  assert.ok(slowed.ms >= 60 + 200, `60 ms of delay, and 60 kB at 200 kB/s: ${slowed.ms} ms`);
  assert.ok(slowed.ms < 5_000, `${slowed.ms} ms`);

  slow.policy.applyResources(
    2,
    [
      ...traffic("origin")
        .fault({ abort: { status: 418 } })
        .resources(),
      ...routes,
    ],
    [],
  );
  assert.equal((await slow.call("/")).status, 418);
  slow.policy.applyResources(3, [...traffic("origin").fault({ reset: {} }).resources(), ...routes], []);
  await assert.rejects(slow.call("/"), /socket hang up|ECONNRESET/);
  assert.equal(slow.seen.length, 2);
});

test("over HTTP/2 a reset is a stream's, and the connection goes on", async () => {
  const policies = traffic("origin")
    .fault({ reset: {}, match: [{ name: "x-chaos" }] })
    .resources();
  await using world = await startLoopbackGateway(policies, (_request, response) => response.end("fine"));
  const session = connect(`http://${world.gateway.host}:${world.gateway.port}`);
  const get = (headers: Record<string, string>) =>
    new Promise<string>((resolve) => {
      const stream = session.request({ ":path": "/", ...headers });
      let body = "";
      stream.setEncoding("utf8");
      stream.on("data", (text) => (body += text));
      stream.on("error", () => {});
      stream.on("close", () => resolve(stream.rstCode === 0 ? body : `RST_STREAM ${stream.rstCode}`));
    });
  try {
    assert.equal(await get({ "x-chaos": "1" }), "RST_STREAM 2");
    assert.equal(await get({}), "fine");
  } finally {
    session.destroy();
  }
});

const routes = [
  {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    metadata: { name: "all" },
    spec: { rules: [{ backendRefs: [{ name: "origin" }] }] },
  },
] as const;
