import assert from "node:assert/strict";
import { after, test } from "node:test";
import { systemClock } from "../../core/clock.ts";
import { seededRandom } from "../../core/random.ts";
import { answeringServer } from "./answering-server.case.ts";
import { ApiClient } from "./api-client.ts";
import { PlaneLease } from "./plane-lease.ts";

const open: { close(): void }[] = [];
after(() => {
  for (const one of open) one.close();
});

/** A Lease at an API server that answers in this order: with a status and a version, or not at all (0). */
async function leaseAt(answers: readonly (readonly [status: number, version: number])[]) {
  const asked: string[] = [];
  const server = await answeringServer((request, response) => {
    const [status, version] = answers[asked.length];
    asked.push(request.method ?? "");
    if (status === 0) return void response.destroy();
    const metadata = { name: "weft-shop-plane-p", resourceVersion: String(version) };
    const reason = status === 409 ? "AlreadyExists" : "NotFound";
    response.writeHead(status).end(JSON.stringify(status < 300 ? { metadata } : { kind: "Status", reason }));
  });
  const client = new ApiClient({ access: server.access, clock: systemClock, random: seededRandom(1) });
  open.push(client, server);
  const options = { clock: systemClock, system: "shop", plane: "p", periodMs: 60_000, buriedMs: 360_000 };
  return { asked, lease: new PlaneLease({ ...options, client }) };
}

test("a Lease that was lost with all data is told as lost, also when the answer to its creation is", async () => {
  const { asked, lease } = await leaseAt([
    [201, 900],
    [200, 900],
    [404, 0],
    [0, 0],
    [409, 0],
    [200, 30],
    [200, 30],
  ]);
  await lease.beat(2_000);
  assert.equal(await lease.beat(2_000), false);
  assert.equal(lease.takeLost(), false);
  await assert.rejects(lease.beat(2_000), { code: "unavailable" });
  assert.equal(await lease.beat(2_000), true);
  assert.equal(lease.takeLost(), true);
  assert.equal(await lease.beat(2_000), false);
  assert.deepEqual(asked, ["POST", "GET", "GET", "POST", "POST", "GET", "GET"]);
});
