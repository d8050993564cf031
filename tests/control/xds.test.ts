import assert from "node:assert/strict";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { createDirectClient } from "../../src/call/direct.ts";
import { SecretSchema } from "../../src/contract/gen/envoy/extensions/transport_sockets/tls/v3/secret.ts";
import { AggregatedDiscoveryService } from "../../src/contract/gen/envoy/service/discovery/v3/ads.ts";
import type { DeltaDiscoveryResponse } from "../../src/contract/gen/envoy/service/discovery/v3/discovery.ts";
import { LoadReportingService } from "../../src/contract/gen/envoy/service/load_stats/v3/lrs.ts";
import { fromBinary } from "../../src/contract/runtime.ts";
import { startControlPlane } from "../../src/control/control-plane.ts";
import { CLUSTER, SECRET } from "../../src/control/xds/types.ts";
import { VirtualClock } from "../../src/core/clock.ts";
import { encodeJoinToken } from "../../src/core/join-token.ts";
import { createMemoryRegistry } from "../../src/drivers/memory/memory-registry.ts";

const OPERATOR = "operator-of-the-test-0123456789abcdef";

function tokenFor(
  service: string,
  more: Partial<Parameters<typeof encodeJoinToken>[0]> = {},
  secret = OPERATOR,
): string {
  return encodeJoinToken(
    { system: "shop", service, id: `id-of-${service}`, expiresMs: Date.now() + 60_000, uses: 2, ...more },
    secret,
  );
}

async function plane(t: TestContext) {
  const lines: string[] = [];
  const control = await startControlPlane({
    registry: createMemoryRegistry(),
    system: "shop",
    identity: { operatorToken: OPERATOR },
    onRefusal: (line) => lines.push(line),
    health: { defaults: { kind: "ttl" } },
  });
  const direct = createDirectClient(AggregatedDiscoveryService, control.address);
  t.after(async () => {
    await direct.close();
    await control.stop();
  });
  /** The first answer to a node that asks for a type. */
  const ask = async (cluster: string, token: string | null, typeUrl: string): Promise<DeltaDiscoveryResponse> => {
    const node = { id: `${cluster}-1`, cluster, metadata: { weft: { role: "sidecar", outbound: 15_001 } } };
    const names = typeUrl === SECRET ? ["weft/identity", "weft/trust"] : [];
    const metadata: Record<string, string> = token === null ? {} : { "x-weft-join-token": token };
    let done = () => {};
    const requests = (async function* () {
      yield { node, typeUrl, resourceNamesSubscribe: names };
      await new Promise<void>((resolve) => (done = resolve));
    })();
    try {
      for await (const response of direct.client.deltaAggregatedResources(requests, { metadata })) return response;
      throw new Error("the stream ended");
    } finally {
      done();
    }
  };
  return { ask, lines, address: control.address };
}

test("only a node with its service's token gets a certificate, and the key is never logged", async (t) => {
  const { ask, lines } = await plane(t);
  const { resources } = await ask("orders", tokenFor("orders"), SECRET);
  const certificates = resources
    .map(({ resource }) => fromBinary(SecretSchema, resource?.value ?? new Uint8Array()).type)
    .filter((type) => type.case === "tlsCertificate");
  assert.equal(certificates.length, 1);
  const none = await ask("orders", null, SECRET);
  assert.equal(none.resources.length, 0);
  assert.deepEqual(lines, []);
});

test("a token of another service, another system or nobody's gets nothing, with the reason in the log", async (t) => {
  const { ask, lines } = await plane(t);
  await assert.rejects(ask("orders", tokenFor("payments"), CLUSTER), {
    code: "permission_denied",
    reason: "OTHER_SERVICE",
  });
  const wrong: [string, string][] = [
    [tokenFor("orders", { system: "bank" }), "BAD_JOIN_TOKEN"],
    [tokenFor("orders", {}, "guessed"), "BAD_JOIN_TOKEN"],
    [tokenFor("orders", { expiresMs: Date.now() - 1 }), "JOIN_TOKEN_EXPIRED"],
    ["nonsense", "BAD_JOIN_TOKEN"],
  ];
  for (const [token, reason] of wrong)
    await assert.rejects(ask("orders", token, CLUSTER), { code: "unauthenticated", reason });
  assert.deepEqual(
    lines.map((line) => /^xds: "orders-1" of orders at 127\.0\.0\.1:\d+ was sent away: .* \((\w+)\)$/.exec(line)?.[1]),
    ["OTHER_SERVICE", ...wrong.map(([, reason]) => reason)],
  );
  for (const [token] of wrong) for (const line of lines) assert.ok(!line.includes(token.split(".")[2] ?? token), line);
});

test("nobody speaks for a node that has proved who it is: by its id, by load reports, or by control characters in the log", async (t) => {
  const { ask, lines, address } = await plane(t);
  const streams = createDirectClient(AggregatedDiscoveryService, address);
  const loads = createDirectClient(LoadReportingService, address);
  t.after(() => Promise.all([streams.close(), loads.close()]));
  const held = Promise.withResolvers<void>();
  const node = { id: "orders-1", cluster: "orders", metadata: { weft: { role: "sidecar", outbound: 15_001 } } };
  const attached = streams.client.deltaAggregatedResources(
    (async function* () {
      yield { node, typeUrl: SECRET, resourceNamesSubscribe: ["weft/identity"] };
      await held.promise;
    })(),
    { metadata: { "x-weft-join-token": tokenFor("orders") } },
  );
  const iterator = attached[Symbol.asyncIterator]();
  await iterator.next();
  await assert.rejects(ask("orders", null, CLUSTER), { code: "permission_denied", reason: "NODE_TAKEN" });
  await ask("orders", tokenFor("orders"), CLUSTER); // another stream of the same
  const report = async (token: string | null): Promise<string> => {
    const metadata: Record<string, string> = token === null ? {} : { "x-weft-join-token": token };
    const ended = Promise.withResolvers<void>();
    const requests = (async function* () {
      yield { node, clusterStats: [] };
      await ended.promise;
    })();
    try {
      for await (const _response of loads.client.streamLoadStats(requests, { metadata })) return "taken";
      return "ended";
    } catch (thrown) {
      return (thrown as { reason: string }).reason;
    } finally {
      ended.resolve();
    }
  };
  assert.equal(await report(null), "NODE_TAKEN");
  assert.equal(await report(tokenFor("payments")), "NODE_TAKEN");
  assert.equal(await report(tokenFor("orders")), "taken");
  await assert.rejects(ask("orders\x1b[2J", null, CLUSTER), { code: "invalid_argument", reason: "BAD_NODE" });
  held.resolve();
  for (const line of lines) assert.ok(!line.includes("\x1b"), line);
});

test("a data plane whose machine has vanished is let go, without waiting for TCP to notice", async (t) => {
  const clock = new VirtualClock();
  const registry = createMemoryRegistry();
  const control = await startControlPlane({ registry, clock, health: { defaults: { kind: "ttl" } } });
  /** Between the two, until the wire is cut: from then on nobody hears anything. */
  const sockets: Socket[] = [];
  const relay = createServer((near) => {
    const far = connect({ host: "127.0.0.1", port: control.port });
    sockets.push(near, far);
    for (const socket of sockets) socket.on("error", () => {});
    near.pipe(far);
    far.pipe(near);
  });
  await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
  const direct = createDirectClient(AggregatedDiscoveryService, `127.0.0.1:${(relay.address() as AddressInfo).port}`);
  const stop = new AbortController();
  t.after(async () => {
    stop.abort();
    for (const socket of sockets) socket.destroy();
    await direct.close();
    await control.stop();
    relay.close();
  });
  const requests = (async function* () {
    yield { node: { id: "orders-1", cluster: "orders" }, typeUrl: CLUSTER };
    await new Promise(() => {});
  })();
  const answers = direct.client.deltaAggregatedResources(requests, { signal: stop.signal })[Symbol.asyncIterator]();
  await answers.next();
  let closed = false;
  const [near, far] = sockets;
  far.once("close", () => (closed = true)).once("end", () => (closed = true));
  const pass = async (seconds: number): Promise<void> => {
    for (let i = 0; i < seconds; i++) {
      clock.advance(1_000);
      // Long enough for a question and its answer to pass the relay both ways.
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  await pass(60);
  assert.equal(closed, false, "it answers");
  near.unpipe(far);
  far.unpipe(near);
  far.resume();
  await pass(20);
  assert.equal(closed, true);
});
