import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { VirtualClock } from "../../core/clock.ts";
import type { XdsPlane } from "../xds/status.ts";
import { TrafficStore } from "./traffic-store.ts";
import { XdsPlanes } from "./xds-planes.ts";

function planeOf(part: Partial<XdsPlane["node"]>, more: Partial<XdsPlane> = {}): XdsPlane {
  const node = {
    ...{ id: "catalog-1", cluster: "catalog", role: "sidecar", zone: "", agent: "envoy 1.40.0", app: "", version: "" },
    ...{ inbound: 0, inboundHost: "127.0.0.1", outbound: 0, outboundHost: "127.0.0.1", identity: null },
    ...{ address: "127.0.0.1:4000", ...part },
  } as XdsPlane["node"];
  return {
    node,
    protocol: "sotw",
    attachedMs: 1,
    revision: 3,
    accepted: true,
    target: 4,
    refusals: [],
    loads: [],
    ...more,
  };
}

test("an Envoy is probed by a request that its routes answer, and by nobody who does not know how", async (t) => {
  const server = createServer((request, response) => {
    const known = request.headers["x-weft-probe"] === "secret" && request.headers.host === "revision.weft.internal";
    response.writeHead(known ? 200 : 404).end(known ? "7" : "<html>");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const clock = new VirtualClock(1_000);
  const planes = [
    planeOf({ outbound: port }),
    planeOf({ id: "gateway-1", role: "gateway", cluster: "gateway", inbound: port }),
    planeOf({ id: "client-1", role: "client", agent: "grpc-go" }),
    planeOf({ id: "dead-1", outbound: 1 }),
    planeOf({ id: "catalog-2", inbound: port, app: "127.0.0.1:1" }),
  ];
  const status = { planes: () => planes };
  for (const [probeToken, enforced] of [
    ["wrong", [0, 0, 0, 0, 0]],
    ["secret", [7, 7, 0, 0, 7]],
  ] as const) {
    const xds = new XdsPlanes({ status, probeToken, traffic: new TrafficStore(clock), identified: () => true, clock });
    await Promise.all([...xds.source()].map((plane) => plane.probe(2_000)));
    assert.deepEqual(
      [...xds.source()].map((plane) => plane.enforced),
      enforced,
    );
    xds.close();
  }
});

test("what Envoys report of their clusters is in the topology under service and version, and goes with them", () => {
  const clock = new VirtualClock();
  const traffic = new TrafficStore(clock);
  const load = { cluster: "orders@v1~0f3a9c12", calls: 0, errors: 0, dropped: 0, inFlight: 0, measuredMs: 0 };
  const own = ["weft.control", "weft/app"].map((cluster) => ({ ...load, cluster, calls: 9 }));
  own.push({ ...load, cluster: "quiet" });
  const proven = { identity: "catalog" };
  let planes = [planeOf(proven, { loads: [] })];
  const refusals = [{ typeUrl: "type.googleapis.com/a.Cluster", name: "x", version: "1", reason: "no", atMs: 0 }];
  const xds = new XdsPlanes({
    status: { planes: () => planes },
    probeToken: "",
    traffic,
    identified: () => true,
    clock,
  });
  clock.advance(1_000);
  planes = [planeOf(proven, { loads: [...own, { ...load, calls: 40, errors: 4 }], refusals })];
  clock.advance(1_000);
  const [[reporter, [rate, ...others]]] = [...traffic.rates()];
  assert.deepEqual(others, []);
  assert.deepEqual([reporter.node, rate.service, rate.version], ["catalog", "orders", "v1"]);
  assert.deepEqual([rate.calls, rate.errors, rate.attempts, rate.secure], [40, 4, 40, 40]);
  const [state] = xds.source();
  assert.deepEqual([state.kind, state.service, state.sent, state.acknowledged], ["envoy", "catalog", 4, 3]);
  assert.deepEqual(state.refusals, [{ revision: 4, resource: "Cluster x", reason: "no" }]);
  planes = [];
  clock.advance(1_000);
  assert.equal([...traffic.rates()].length, 0);
  xds.close();
});
