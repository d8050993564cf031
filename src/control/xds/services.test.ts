import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createDirectClient } from "../../call/direct.ts";
import { ClientResourceStatus } from "../../contract/gen/envoy/admin/v3/config_dump_shared.ts";
import { ClusterSchema } from "../../contract/gen/envoy/config/cluster/v3/cluster.ts";
import { AggregatedDiscoveryService } from "../../contract/gen/envoy/service/discovery/v3/ads.ts";
import type {
  DeltaDiscoveryRequestSchema,
  DiscoveryRequestSchema,
} from "../../contract/gen/envoy/service/discovery/v3/discovery.ts";
import { EndpointDiscoveryService } from "../../contract/gen/envoy/service/endpoint/v3/eds.ts";
import { LoadReportingService } from "../../contract/gen/envoy/service/load_stats/v3/lrs.ts";
import { ClientStatusDiscoveryService } from "../../contract/gen/envoy/service/status/v3/csds.ts";
import type { DescService } from "../../contract/runtime.ts";
import { fromBinary, type MessageInitShape } from "../../contract/runtime.ts";
import { cluster } from "./builders/cluster.ts";
import { endpoints } from "./builders/endpoints.ts";
import { secret } from "./builders/secret.ts";
import { type ServeXdsOptions, serveXds, type XdsServer } from "./serve-xds.ts";
import { CLUSTER, ENDPOINTS, SECRET } from "./types.ts";

/** Messages that are sent when the test wants. */
class Outbox<T> implements AsyncIterable<T> {
  #queue: T[] = [];
  #ended = false;
  #wake: () => void = () => {};
  send(message: T): void {
    this.#queue.push(message);
    this.#wake();
  }
  end(): void {
    this.#ended = true;
    this.#wake();
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      while (this.#queue.length > 0) yield this.#queue.shift() as T;
      if (this.#ended) return;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

async function started(t: TestContext, options: Partial<ServeXdsOptions> = {}) {
  const lines: string[] = [];
  const server = await serveXds({
    resources: [cluster("a", { endpoints: ["127.0.0.1:1"] })],
    log: (line) => lines.push(line),
    ...options,
  });
  const closing: (() => unknown)[] = [];
  t.after(async () => {
    for (const close of closing) await close();
    await server.stop();
  });
  const client = <S extends DescService>(desc: S) => {
    const direct = createDirectClient(desc, server.address);
    closing.push(() => direct.close());
    return direct.client;
  };
  return { server, lines, client, closing };
}

type Delta = MessageInitShape<typeof DeltaDiscoveryRequestSchema>;
type Sotw = MessageInitShape<typeof DiscoveryRequestSchema>;
const node = {
  id: "envoy-1",
  cluster: "orders",
  userAgentName: "envoy",
  metadata: { weft: { role: "sidecar", inbound: 15006 } },
};

async function until(condition: () => boolean): Promise<void> {
  for (const end = performance.now() + 20_000; !condition(); ) {
    assert.ok(performance.now() < end, "it does not come to pass");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function plane(server: XdsServer) {
  const [one] = server.planes();
  return one;
}

test("delta over the wire: resources, an acknowledgement, an update and what is removed", async (t) => {
  const { server, client, closing } = await started(t);
  const outbox = new Outbox<Delta>();
  closing.push(() => outbox.end());
  const responses = client(AggregatedDiscoveryService).deltaAggregatedResources(outbox)[Symbol.asyncIterator]();
  outbox.send({ node, typeUrl: CLUSTER });
  const first = (await responses.next()).value;
  assert.equal(first?.systemVersionInfo, "1");
  assert.equal(first?.controlPlane?.identifier, "weft");
  const [resource] = first?.resources ?? [];
  assert.equal(resource.name, "a");
  assert.equal(fromBinary(ClusterSchema, resource.resource?.value ?? new Uint8Array()).name, "a");
  assert.equal(plane(server).revision, 0);
  outbox.send({ typeUrl: CLUSTER, responseNonce: first?.nonce ?? "" });
  await until(() => plane(server).revision === 1);
  const { node: known, protocol } = plane(server);
  assert.deepEqual(
    [known.id, known.cluster, known.role, known.inbound, protocol],
    ["envoy-1", "orders", "sidecar", 15006, "delta"],
  );

  server.update([cluster("b", { endpoints: ["127.0.0.1:1"] })]);
  const second = (await responses.next()).value;
  assert.deepEqual(
    second?.resources.map(({ name }: { name: string }) => name),
    ["b"],
  );
  assert.deepEqual(second?.removedResources, ["a"]);
});

test("a refused resource is logged, shown, and taken from the list when it is put right", async (t) => {
  const { server, client, closing, lines } = await started(t);
  const outbox = new Outbox<Sotw>();
  closing.push(() => outbox.end());
  const responses = client(AggregatedDiscoveryService).streamAggregatedResources(outbox)[Symbol.asyncIterator]();
  outbox.send({ node, typeUrl: CLUSTER });
  const first = (await responses.next()).value;
  outbox.send({
    typeUrl: CLUSTER,
    responseNonce: first?.nonce ?? "",
    errorDetail: { code: 3, message: "no good:\nfield x" },
  });
  await until(() => plane(server).refusals.length === 1);
  const [refusal] = plane(server).refusals;
  assert.deepEqual([refusal.typeUrl, refusal.name, refusal.reason], [CLUSTER, "a", "no good: field x"]);
  assert.deepEqual(lines, [
    'xds: envoy "envoy-1" of orders refuses Cluster "a" of revision 1 and keeps what it had: no good: field x',
  ]);
  assert.equal(plane(server).revision, 0);

  const { config } = await client(ClientStatusDiscoveryService).fetchClientStatus({});
  const [shown] = config[0].genericXdsConfigs;
  assert.equal(shown.clientStatus, ClientResourceStatus.NACKED);
  assert.equal(shown.errorState?.details, "no good: field x");

  server.update([cluster("a", { endpoints: ["127.0.0.1:2"] })]);
  const second = (await responses.next()).value;
  outbox.send({ typeUrl: CLUSTER, responseNonce: second?.nonce ?? "" });
  await until(() => plane(server).revision === 2);
  assert.deepEqual(plane(server).refusals, []);
});

test("a stream of one type needs no type URL, and takes no other", async (t) => {
  const { client } = await started(t, { resources: [endpoints("a", ["127.0.0.1:9"])] });
  const eds = client(EndpointDiscoveryService);
  const outbox = new Outbox<Sotw>();
  const responses = eds.streamEndpoints(outbox)[Symbol.asyncIterator]();
  outbox.send({ node, resourceNames: ["a"] });
  const { value } = await responses.next();
  assert.equal(value?.typeUrl, ENDPOINTS);
  outbox.send({ typeUrl: CLUSTER });
  await assert.rejects(responses.next(), { code: "invalid_argument", reason: "WRONG_TYPE" });
});

test("status names the resources of each data plane, and never shows a secret", async (t) => {
  const { client, closing } = await started(t, {
    resources: [
      cluster("a", { endpoints: ["127.0.0.1:9"] }),
      secret("own", { certificate: "CERT", privateKey: "KEY" }),
    ],
  });
  const outbox = new Outbox<Delta>();
  closing.push(() => outbox.end());
  const responses = client(AggregatedDiscoveryService).deltaAggregatedResources(outbox)[Symbol.asyncIterator]();
  for (const request of [
    { node, typeUrl: CLUSTER },
    { typeUrl: SECRET, resourceNamesSubscribe: ["own"] },
  ]) {
    outbox.send(request);
    const { value } = await responses.next();
    outbox.send({ typeUrl: request.typeUrl, responseNonce: value?.nonce ?? "" });
  }
  const status = client(ClientStatusDiscoveryService);
  const shown = async (request: object) =>
    (await status.fetchClientStatus(request)).config.flatMap((one) => one.genericXdsConfigs);
  let all = await shown({});
  while (!all.every(({ clientStatus }) => clientStatus === ClientResourceStatus.ACKED) || all.length < 2)
    all = await shown({});
  assert.deepEqual(
    all.map(({ name, xdsConfig }) => [name, xdsConfig !== undefined]),
    [
      ["a", true],
      ["own", false],
    ],
  );
  assert.deepEqual(
    await shown({ nodeMatchers: [{ nodeId: { matchPattern: { case: "prefix", value: "other" } } }] }),
    [],
  );
  await assert.rejects(shown({ nodeMatchers: [{ nodeMetadatas: [{}] }] }), { code: "unimplemented" });
});

test("reported loads are added up by cluster", async (t) => {
  const { server, client, closing } = await started(t);
  const outbox = new Outbox<Delta>();
  closing.push(() => outbox.end());
  const responses = client(AggregatedDiscoveryService).deltaAggregatedResources(outbox)[Symbol.asyncIterator]();
  outbox.send({ node, typeUrl: CLUSTER });
  await responses.next();
  const reports = new Outbox<object>();
  closing.push(() => reports.end());
  const asked = client(LoadReportingService).streamLoadStats(reports)[Symbol.asyncIterator]();
  reports.send({ node });
  assert.equal((await asked.next()).value?.sendAllClusters, true);
  const stats = { totalSuccessfulRequests: 3n, totalErrorRequests: 1n, totalRequestsInProgress: 2n };
  for (let i = 0; i < 2; i++)
    reports.send({ clusterStats: [{ clusterName: "a", upstreamLocalityStats: [stats], totalDroppedRequests: 1n }] });
  await until(() => plane(server).loads[0]?.calls === 8);
  const [{ cluster: name, errors, dropped, inFlight }] = plane(server).loads;
  assert.deepEqual([name, errors, dropped, inFlight], ["a", 2, 2, 2]);
  const began = performance.now();
  await server.stop();
  assert.equal((await asked.next()).done, true);
  assert.ok(performance.now() - began < 5_000, "streams end when the server stops");
});

test("a node with several streams is one data plane, and its load stays until the last of them ends", async (t) => {
  const { server, client, closing } = await started(t);
  const ads = client(AggregatedDiscoveryService);
  const first = new Outbox<Delta>();
  const second = new Outbox<Delta>();
  closing.push(() => second.end());
  for (const outbox of [first, second]) {
    const responses = ads.deltaAggregatedResources(outbox)[Symbol.asyncIterator]();
    outbox.send({ node, typeUrl: CLUSTER });
    await responses.next();
  }
  const silent = new Outbox<Delta>();
  closing.push(() => silent.end());
  ads
    .deltaAggregatedResources(silent)
    [Symbol.asyncIterator]()
    .next()
    .catch(() => {});
  const reports = new Outbox<object>();
  closing.push(() => reports.end());
  const asked = client(LoadReportingService).streamLoadStats(reports)[Symbol.asyncIterator]();
  reports.send({ node });
  await asked.next();
  const report = () =>
    reports.send({ clusterStats: [{ clusterName: "a", upstreamLocalityStats: [{ totalSuccessfulRequests: 1n }] }] });
  report();
  await until(() => plane(server)?.loads[0]?.calls === 1);
  assert.equal(server.planes().length, 1);
  first.end();
  report();
  await until(() => plane(server)?.loads[0]?.calls === 2);
});

test("who does not say who it is, asks for too much or says nothing is sent away", async (t) => {
  const { client } = await started(t, { limits: { maxNames: 2, maxStreams: 1 } });
  const ads = client(AggregatedDiscoveryService);
  const askOf = async (asked: typeof ads, ...requests: Delta[]) => {
    const outbox = new Outbox<Delta>();
    for (const request of requests) outbox.send(request);
    try {
      for await (const _ of asked.deltaAggregatedResources(outbox));
    } finally {
      outbox.end();
    }
  };
  const ask = (...requests: Delta[]) => askOf(ads, ...requests);
  await assert.rejects(ask({ typeUrl: CLUSTER }), { code: "invalid_argument", reason: "NO_NODE" });
  await assert.rejects(ask({ node: { id: "x".repeat(300) }, typeUrl: CLUSTER }), { reason: "BAD_NODE" });
  await assert.rejects(ask({ node }), { reason: "NO_TYPE" });
  await assert.rejects(ask({ node, typeUrl: ENDPOINTS, resourceNamesSubscribe: ["a", "b", "c"] }), {
    reason: "TOO_MANY_SUBSCRIPTIONS",
  });
  const impatient = await started(t, { limits: { firstRequestMs: 30 } });
  await assert.rejects(askOf(impatient.client(AggregatedDiscoveryService)), {
    code: "deadline_exceeded",
    reason: "NO_REQUEST",
  });
  const first = new Outbox<Delta>();
  const held = ads.deltaAggregatedResources(first)[Symbol.asyncIterator]();
  first.send({ node, typeUrl: CLUSTER });
  await held.next();
  await assert.rejects(ask({ node, typeUrl: CLUSTER }), { code: "resource_exhausted", reason: "TOO_MANY_STREAMS" });
  first.end();
});
