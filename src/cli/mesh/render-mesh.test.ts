import assert from "node:assert/strict";
import { test } from "node:test";
import { type Topology, TopologySchema } from "../../contract/gen/weft/control/v1/mesh.ts";
import { create } from "../../contract/runtime.ts";
import { COLORS, PLAIN } from "../terminal.ts";
import { renderMesh } from "./render-mesh.ts";

const LATENCY = { p50Ms: 1.23, p99Ms: 42, calls: 900n, errors: 0n, processes: 1 };
const SHOP: Topology = create(TopologySchema, {
  revision: 12n,
  nodes: [
    { name: "gateway", kind: "gateway" },
    {
      name: "orders",
      kind: "service",
      mtls: "strict",
      versions: [
        { version: "v1", endpoints: 2, healthy: 2, identified: 2 },
        { version: "v2", endpoints: 1, healthy: 0, identified: 0 },
      ],
    },
  ],
  edges: [
    {
      ...{ from: "gateway", to: "orders", version: "v1", callsPerSecond: 90, share: 0.9, errorRatio: 0.001 },
      ...{ attemptsPerCall: 1.05, secureRatio: 1, ...LATENCY },
    },
    { from: "gateway", to: "orders", version: "v2", share: 0, calls: 4n },
    { from: "outside", to: "gateway", callsPerSecond: 9.94, share: 1, attemptsPerCall: 1, ...LATENCY },
  ],
  planes: [
    {
      ...{ process: "gateway/17/ab", kind: "gateway", address: "127.0.0.1:1", attachedMs: 5_000n },
      ...{ sent: 12n, acknowledged: 12n, enforced: 12n },
    },
    {
      ...{ process: "orders-1/18/cd", kind: "sidecar", service: "orders", address: "127.0.0.1:2", attachedMs: 5_000n },
      ...{ sent: 12n, acknowledged: 11n, refusals: [{ revision: 12n, reason: "no" }] },
    },
  ],
  problems: [{ kind: "refused", subject: "orders-1/18/cd", message: "refused revision 12:\u001b[31m no" }],
});

test("the picture is aligned, what is wrong first, and plain without colours", () => {
  assert.deepEqual(renderMesh(SHOP, 65_000, PLAIN), [
    "revision 12   2 data planes, 1 enforces it   1 service   1 wrong",
    "",
    "refused  orders-1/18/cd  refused revision 12: no",
    "",
    "FROM     TO       VERSION  SHARE  CALLS/S  ERRORS  ATTEMPTS     P50    P99   MTLS",
    "gateway  orders   v1        90 %       90   0.1 %      1.05  1.2 ms  42 ms  100 %",
    "gateway  orders   v2                    -",
    "outside  gateway                      9.9       0            1.2 ms  42 ms",
    "",
    "SERVICE  VERSION  HEALTHY  IDENTITY  MTLS",
    "orders   v1           2/2       2/2  strict",
    "         v2           0/1       0/1",
    "",
    "DATA PLANE  KIND     SERVICE  SENT  ACKNOWLEDGED  ENFORCED  ATTACHED  ADDRESS",
    "gateway     gateway             12            12        12      60 s  127.0.0.1:1",
    "orders-1    sidecar  orders     12            11         -      60 s  127.0.0.1:2",
  ]);
});

test("colour is where something is wrong", () => {
  const painted = renderMesh(SHOP, 65_000, COLORS).join("\n");
  assert.ok(painted.includes(COLORS.red("refused")));
  assert.ok(painted.includes(COLORS.red("0/1")));
  assert.ok(renderMesh(create(TopologySchema, {}), 0, COLORS)[0].includes(COLORS.green("nothing is wrong")));
});
