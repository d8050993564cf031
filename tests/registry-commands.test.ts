import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { freePort } from "../conformance/free-port.ts";
import { openPlaneAccess, placeOf, type RegistryAccess } from "../src/cli/registry/access.ts";
import { Copier, type CopyEvent } from "../src/cli/registry/copier.ts";
import { weft } from "../src/cli/weft.case.ts";
import { type ControlPlane, startControlPlane } from "../src/control/control-plane.ts";
import { systemClock } from "../src/core/clock.ts";
import { systemRandom } from "../src/core/random.ts";
import { createMemoryRegistry } from "../src/drivers/memory/memory-registry.ts";
import { openBackedRegistry } from "../src/registry/backed-registry.ts";
import { endpointOf } from "../src/registry/registry.case.ts";
import type { Registry } from "../src/registry/registry.ts";
import { SharedPlace } from "../src/registry/shared-place.case.ts";

/** `weft registry` against control planes. */

const folder = mkdtempSync(join(tmpdir(), "weft-registry-"));
let registry: Registry;
let plane: ControlPlane;
before(async () => {
  ({ registry, plane } = await start());
});
after(async () => {
  await plane.stop();
  rmSync(folder, { recursive: true });
});

async function start(port = 0): Promise<{ registry: Registry; plane: ControlPlane }> {
  const registry = createMemoryRegistry();
  return { registry, plane: await startControlPlane({ registry, port, health: { defaults: { kind: "ttl" } } }) };
}

const control = () => ["--control", plane.address];
const children: ChildProcess[] = [];
after(() => {
  for (const child of children) child.kill("SIGKILL");
});
const MAIN = join(import.meta.dirname, "..", "src", "cli", "main.ts");

function running(...args: string[]): { child: ChildProcess; until(pattern: RegExp): Promise<void>; printed(): string } {
  const child = spawn(process.execPath, ["-C", "weft-source", MAIN, "registry", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding("utf8").on("data", (part) => (text += part));
  return {
    child,
    printed: () => text,
    until: (pattern) =>
      until(
        () => pattern.test(text),
        () => `${pattern} in ${text}`,
      ),
  };
}

async function until(holds: () => boolean | Promise<boolean>, what: () => string): Promise<void> {
  // Programs that start take their time on a machine that has much to do.
  for (const end = performance.now() + 30_000; !(await holds()); ) {
    assert.ok(performance.now() < end, `waited in vain for ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const idsAt = async (at: Registry, service = "*") => (await at.query([service])).endpoints.map(({ id }) => id).sort();

test("register holds a lease until it is stopped, watch tells, ls and get show", async () => {
  const watch = running("watch", "legacy", ...control());
  const file = join(folder, "legacy.yaml");
  writeFileSync(
    file,
    "service: legacy\naddress: 10.0.0.7:8080\nversion: v1\nweight: 2\ntags: [blue]\nmetadata: { team: shop }\n",
  );
  const held = running(
    "register",
    "-f",
    file,
    "--zone",
    "eu-1",
    "--metadata",
    "rack=7",
    "--tag",
    "canary",
    "--protocol",
    "http1",
    ...control(),
  );
  await held.until(/registered legacy\/10\.0\.0\.7:8080 of legacy at 10\.0\.0\.7:8080; Ctrl-C takes it away/);
  await watch.until(/\+ legacy\/10\.0\.0\.7:8080 of legacy@v1 {2}10\.0\.0\.7:8080 {2}healthy/);
  const ls = await weft("registry", "ls", ...control());
  assert.match(ls.stdout, /^SERVICE +ENDPOINTS +HEALTHY +VERSIONS +ZONES\nlegacy +1 +1 +v1 +eu-1\n$/);
  const get = await weft("registry", "get", "legacy", ...control());
  assert.match(
    get.stdout,
    /legacy\/10\.0\.0\.7:8080 +10\.0\.0\.7:8080 +v1 +eu-1 +2 +http1 +healthy +team=shop rack=7 tags=blue,canary\n$/,
  );
  const { stdout } = await weft("registry", "get", "legacy", "--json", ...control());
  assert.deepEqual(JSON.parse(stdout).endpoints[0].metadata, { team: "shop", rack: "7", tags: "blue,canary" });
  assert.equal(
    (await weft("registry", "health", "legacy/10.0.0.7:8080", "draining", "--reason", "disk", ...control())).status,
    0,
  );
  await watch.until(/~ legacy\/10\.0\.0\.7:8080 of legacy@v1 {2}10\.0\.0\.7:8080 {2}draining/);
  held.child.kill("SIGTERM");
  await watch.until(/- legacy\/10\.0\.0\.7:8080 of legacy {2}gone/);
  watch.child.kill("SIGTERM");
  await Promise.all([once(held.child, "exit"), once(watch.child, "exit")]);
  assert.equal(held.child.exitCode, 0);
  assert.deepEqual(await idsAt(registry), []);
  assert.match((await weft("registry", "ls", ...control())).stdout, /^no endpoints are registered\n$/);
});

test("for good, in another's place, and away", async () => {
  const register = (...args: string[]) =>
    weft("registry", "register", "--service", "alpha", "--ttl", "none", ...args, ...control());
  assert.equal((await register("--id", "a-1", "--address", "10.0.0.1:80")).status, 0);
  const taken = await register("--id", "a-1", "--address", "10.0.0.2:80");
  assert.deepEqual(
    [taken.status, /"a-1" is an endpoint of alpha at 10\.0\.0\.1, port 80, already/.test(taken.stderr)],
    [1, true],
  );
  assert.equal((await register("--id", "a-1", "--address", "10.0.0.2:80", "--replace")).status, 0);
  assert.equal((await registry.query(["alpha"])).endpoints[0].host, "10.0.0.2");
  assert.match((await weft("registry", "deregister", "a-1", ...control())).stdout, /^a-1 is deregistered\n$/);
  const again = await weft("registry", "deregister", "a-1", ...control());
  assert.deepEqual([again.status, /no endpoint "a-1" is registered/.test(again.stderr)], [1, true]);
  const unknown = await weft("registry", "get", "alpha", ...control());
  assert.deepEqual([unknown.status, /no endpoint of alpha/.test(unknown.stderr)], [1, true]);
});

test("copy once: for good, and the exit status says what could not be", async () => {
  const other = await start();
  try {
    await registry.register(endpointOf("alpha", 1), Number.POSITIVE_INFINITY);
    await registry.register(endpointOf("beta", 1), Number.POSITIVE_INFINITY);
    await other.registry.register(endpointOf("beta", 1, { port: 1 }), Number.POSITIVE_INFINITY);
    const copied = await weft("registry", "copy", plane.address, other.plane.address, "--services", "alpha");
    assert.deepEqual([copied.status, copied.stdout], [0, "+ alpha-1\n1 endpoint is copied\n"]);
    const all = await weft("registry", "copy", plane.address, other.plane.address);
    assert.equal(all.status, 1);
    assert.match(all.stderr, /left alone {2}beta-1: the target has an endpoint of that id/);
    assert.equal((await other.registry.query(["beta"])).endpoints[0].port, 1);
    const prefixed = await weft(
      "registry",
      "copy",
      plane.address,
      other.plane.address,
      "--prefix-ids",
      "east-",
      "--as",
      "east",
    );
    assert.equal(prefixed.status, 0);
    assert.deepEqual(await idsAt(other.registry), ["alpha-1", "beta-1", "east-alpha-1", "east-beta-1"]);
  } finally {
    await other.plane.stop();
    for (const id of await idsAt(registry)) await weft("registry", "deregister", id, ...control());
  }
});

/** Copies for as long as the test runs; events as words. */
async function copying(from: ControlPlane, to: ControlPlane, name: string) {
  const tell = () => {};
  const open = (address: string): Promise<RegistryAccess> => openPlaneAccess({ address, token: "", tell });
  const [source, target] = await Promise.all([open(from.address), open(to.address)]);
  const events: CopyEvent[] = [];
  const copier = new Copier({ from: source, to: target, name, ttlMs: 3_000, onEvent: (event) => events.push(event) });
  await copier.start();
  return {
    events,
    async close() {
      copier.close();
      await Promise.all([source.close(), target.close()]);
    },
  };
}

test("copies in a circle follow changes both ways, and do not echo", async () => {
  const other = await start();
  const there = await copying(plane, other.plane, "there");
  const back = await copying(other.plane, plane, "back");
  try {
    const lease = await registry.register(endpointOf("alpha", 1), Number.POSITIVE_INFINITY);
    await other.registry.register(endpointOf("beta", 1), Number.POSITIVE_INFINITY);
    const both = async () =>
      `${await idsAt(registry)} ${await idsAt(other.registry)}` === "alpha-1,beta-1 alpha-1,beta-1";
    await until(both, () => "both at both");
    await registry.setHealth("alpha-1", "draining", "stopping");
    await until(
      async () => (await other.registry.query(["alpha"])).endpoints[0]?.health === "draining",
      () => "its health",
    );
    await lease.release();
    await until(
      async () => !(await idsAt(other.registry)).includes("alpha-1"),
      () => "the copy to go",
    );
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.deepEqual([...there.events, ...back.events].map(({ kind, id }) => `${kind} ${id}`).sort(), [
      "copied alpha-1",
      "copied beta-1",
      "health alpha-1",
      "removed alpha-1",
    ]);
  } finally {
    await Promise.all([there.close(), back.close()]);
    await other.plane.stop();
  }
});

test("a copy goes on after its source, or its target, was away", async () => {
  let source = await start(await freePort());
  let target = await start(await freePort());
  const { address: from, port: sourcePort } = source.plane;
  const { port: targetPort } = target.plane;
  assert.ok(from !== "");
  await source.registry.register(endpointOf("alpha", 1), Number.POSITIVE_INFINITY);
  const copy = await copying(source.plane, target.plane, "copy");
  try {
    assert.deepEqual(await idsAt(target.registry), ["alpha-1"]);
    await source.plane.stop();
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.deepEqual(await idsAt(target.registry), ["alpha-1"], "a source that is away takes nothing away");
    source = await start(sourcePort);
    await source.registry.register(endpointOf("alpha", 2), Number.POSITIVE_INFINITY);
    await until(
      async () => `${await idsAt(target.registry)}` === "alpha-2",
      () => "what the source has now",
    );
    await target.plane.stop();
    target = await start(targetPort);
    await until(
      async () => `${await idsAt(target.registry)}` === "alpha-2",
      () => "the copy at a target that lost its data",
    );
  } finally {
    await copy.close();
    await Promise.all([source.plane.stop(), target.plane.stop()]);
  }
});

for (const mode of ["available", "consistent"] as const)
  test(`in the mode "${mode}", where the place of endpoints does not answer`, async (t) => {
    const place = new SharedPlace(systemClock);
    const backends = [place.backend(), place.backend()];
    const planes: ControlPlane[] = [];
    for (const backend of backends) {
      const opened = await openBackedRegistry({ backend, mode, clock: systemClock, random: systemRandom });
      planes.push(await startControlPlane({ registry: opened, health: { defaults: { kind: "ttl" } } }));
    }
    t.after(() => Promise.all(planes.map((one) => one.stop())));
    const [near, far] = planes.map(({ address }) => ["--control", address]);
    const register = (id: string, at: string[]) =>
      weft(
        "registry",
        "register",
        "--service",
        "alpha",
        "--ttl",
        "none",
        "--id",
        id,
        "--address",
        "10.0.0.1:80",
        ...at,
      );
    assert.equal((await register("a-1", near)).status, 0);
    assert.match((await weft("registry", "get", "alpha", ...far)).stdout, /^ID.*\na-1 +10\.0\.0\.1:80/);
    const well = await weft("registry", "ls", ...far);
    assert.deepEqual([well.stderr, /\nalpha +1 +1/.test(well.stdout)], ["", true]);
    backends[1].cut();
    await new Promise((resolve) => setTimeout(resolve, 700));
    // Here it goes on; the other one does not hear of it.
    assert.equal((await register("a-2", near)).status, 0);
    const [ls, get] = [await weft("registry", "ls", ...far), await weft("registry", "get", "alpha", ...far)];
    const rest = async (query: string) => {
      const answer = await fetch(`http://${planes[1].address}/v1/services${query}`);
      return { status: answer.status, body: (await answer.json()) as { staleMs?: string; code?: string } };
    };
    const status = (await (await fetch(`http://${planes[1].address}/v1/status`)).json()) as Record<string, string>;
    assert.deepEqual([status.mode, Number(status.staleMs) > 500], [mode, true]);
    if (mode === "available") {
      for (const { stdout, stderr } of [ls, get]) {
        assert.match(
          stderr,
          /^stale {2}this was all there is \d+\.\d s ago; the place where endpoints are kept does not/,
        );
        assert.match(stdout, /alpha +1 +1|a-1 /);
      }
      const { staleMs } = JSON.parse((await weft("registry", "ls", "--json", ...far)).stdout);
      assert.ok(staleMs > 500, `${staleMs}`);
      assert.ok(Number((await rest("")).body.staleMs) > 500);
    } else {
      for (const { status, stdout, stderr } of [ls, get]) {
        assert.deepEqual([status, stdout], [1, ""]);
        assert.match(stderr, /\[NOT_CONFIRMED\]/);
      }
      assert.equal((await rest("")).status, 503);
      const known = await rest("?stale=true");
      assert.ok(known.status === 200 && Number(known.body.staleMs) > 500, JSON.stringify(known));
    }
    backends[1].mend();
    await until(
      async () => /a-2 /.test((await weft("registry", "get", "alpha", ...far)).stdout),
      () => "what was missed",
    );
    assert.equal((await weft("registry", "get", "alpha", ...far)).stderr, "");
  });

test("what names a registry holds no secret", () => {
  const cases: [url: string, place: string][] = [
    ["consul://s3cret@10.0.0.5:8500/weft?dc=a", "consul://10.0.0.5:8500/weft"],
    ["etcd://me:pa%40ss@h1:2379,h2:2379/x?key=k", "etcd://h1:2379,h2:2379/x"],
    ["postgres://u:p@ss@host/db", "postgres://host/db"],
    ["kubernetes:///shop?token-file=t", "kubernetes:///shop"],
  ];
  for (const [url, place] of cases) assert.equal(placeOf(url), place);
});

test("who asks where nobody is learns that soon, and what to look at", async () => {
  const first = performance.now();
  await weft("registry", "ls", "--help");
  const began = performance.now();
  const startMs = began - first;
  const plane = await weft("registry", "ls", "--control", "127.0.0.1:1");
  assert.equal(plane.status, 1);
  assert.match(
    plane.stderr,
    /^error: the control plane at 127\.0\.0\.1:1 cannot be asked: .*nothing listens there.*\[CANNOT_ASK\]/,
  );
  assert.ok(performance.now() - began < 2_500 + 2 * startMs, "asked again and again");
  const direct = await weft("registry", "ls", "--registry", "consul://127.0.0.1:1");
  assert.equal(direct.status, 1);
  assert.match(
    direct.stderr,
    /error: Consul at 127\.0\.0\.1:1 .*; is it running, and is the url right\? \[REGISTRY_AWAY\]/,
  );
  assert.ok(performance.now() - began < 8_500 + 4 * startMs);
  for (const args of [
    ["copy", "127.0.0.1:1", "127.0.0.1:1"],
    ["copy", "127.0.0.1:1", "127.0.0.1:1", "--follow"],
    ["watch", "--control", "127.0.0.1:1"],
  ]) {
    const { status, stderr } = await weft("registry", ...args);
    assert.equal(status, 1, stderr);
    assert.match(stderr, /error: the control plane at 127\.0\.0\.1:1 cannot be asked: .* \[CANNOT_ASK\]/);
  }
  const copy = await weft("registry", "copy", "a", "b");
  assert.match(copy.stderr, /"a" is neither a registry's url .* nor HOST:PORT of a control plane \[BAD_ADDRESS\]/);
});
