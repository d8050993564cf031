import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { VirtualClock } from "../../core/clock.ts";
import { endpointOf, registryCases } from "../../registry/registry.case.ts";
import { openSqliteRegistry } from "./sqlite-registry.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-registry-"));
after(() => rmSync(folder, { recursive: true }));
let files = 0;
const newFile = () => join(folder, `${files++}.db`);

registryCases("sqlite", async () => {
  const clock = new VirtualClock();
  const file = newFile();
  return { open: (mode) => openSqliteRegistry({ file, clock, mode }), pass: async (ms) => clock.advance(ms) };
});

test("after a restart endpoints are back with their health, a full period of grace and a higher version", async () => {
  const file = newFile();
  const before = await openSqliteRegistry({ file, clock: new VirtualClock() });
  const one = endpointOf("alpha", 1, { metadata: { a: "b" }, version: "v1" });
  await before.register(one, 5_000);
  await before.register(endpointOf("alpha", 2), 5_000);
  const gone = await before.register(endpointOf("alpha", 3), 5_000);
  await before.setHealth("alpha-2", "unhealthy", "refused", "check");
  await gone.release();
  const { endpointVersion } = await before.query([]);
  await before.close();

  const clock = new VirtualClock();
  const again = await openSqliteRegistry({ file, clock });
  const { endpoints, endpointVersion: later } = await again.query(["alpha"]);
  assert.deepEqual(endpoints, [one, { ...endpointOf("alpha", 2), health: "unhealthy" }]);
  assert.ok(later > endpointVersion);
  clock.advance(4_900);
  const lease = await again.register(one, 5_000);
  clock.advance(200);
  assert.deepEqual(
    (await again.query(["alpha"])).endpoints.map((endpoint) => endpoint.id),
    ["alpha-1"],
  );
  await lease.renew();
  await again.close();
});

test("registrations of one turn share a commit: 5,000 take seconds at most", async () => {
  const registry = await openSqliteRegistry({ file: newFile(), clock: new VirtualClock() });
  const started = performance.now();
  await Promise.all(
    Array.from({ length: 5_000 }, (_, i) => registry.register(endpointOf("alpha", i, { host: "10.0.0.1" }), 5_000)),
  );
  assert.ok(performance.now() - started < 5_000, `took ${Math.round(performance.now() - started)} ms`);
  await registry.close();
});

test("what changes while a write is on its way is written as it is by then, and is there after a close at once", async () => {
  const file = newFile();
  const registry = await openSqliteRegistry({ file, clock: new VirtualClock() });
  const [a, b, c] = [1, 2, 3].map((n) => endpointOf("alpha", n));
  const first = registry.register(a, 5_000);
  await new Promise((resolve) => setImmediate(resolve)); // its write is on its way
  const rest = [registry.register(b, 5_000), registry.register({ ...a, port: 7 }, 5_000), registry.register(c, 5_000)];
  const moved = registry.register({ ...b, version: "v2" }, 5_000).then((lease) => lease.release());
  const closed = registry.close();
  await Promise.all([first, ...rest, closed, moved.catch(() => {})]);
  const again = await openSqliteRegistry({ file, clock: new VirtualClock() });
  const { endpoints } = await again.query(["alpha"]);
  assert.deepEqual(
    endpoints.map(({ id, port, version }) => [id, port, version]),
    [
      [a.id, 7, a.version],
      [b.id, b.port, "v2"],
      [c.id, c.port, c.version],
    ],
  );
  await again.close();
});
