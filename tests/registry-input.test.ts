import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createDirectClient } from "../src/call/direct.ts";
import { weft } from "../src/cli/weft.case.ts";
import { endpointToMessage } from "../src/contract/endpoint-message.ts";
import { Endpoints } from "../src/contract/gen/weft/control/v1/endpoints.ts";
import { type ControlPlane, startControlPlane } from "../src/control/control-plane.ts";
import type { Endpoint } from "../src/core/endpoint.ts";
import { WeftError } from "../src/core/errors.ts";
import { seededRandom } from "../src/core/random.ts";
import { createMemoryRegistry } from "../src/drivers/memory/memory-registry.ts";
import { createLink } from "../src/link/link.ts";
import { createPolicyRuntime } from "../src/policy/snapshot/create-runtime.ts";
import { endpointOf } from "../src/registry/registry.case.ts";
import type { Registry } from "../src/registry/registry.ts";

/** What is malformed, over a limit, or there already is refused by every way into the registry: with the field's name, and nothing changed. */

const folder = mkdtempSync(join(tmpdir(), "weft-input-"));
let registry: Registry;
let plane: ControlPlane;
let untouched: Endpoint;
const closing: (() => unknown)[] = [];
before(async () => {
  registry = createMemoryRegistry();
  plane = await startControlPlane({ registry, consul: { port: 0 }, health: { defaults: { kind: "ttl" } } });
  untouched = endpointOf("taken", 1, { metadata: { team: "a" } });
  await registry.register(untouched, Number.POSITIVE_INFINITY);
});
after(async () => {
  for (const close of closing) await close();
  await plane.stop();
  rmSync(folder, { recursive: true });
});

/** Tries to register an endpoint; answers the error's text, or "" when it was taken. */
type Way = (endpoint: Endpoint) => Promise<string>;

const textOf = (thrown: unknown): string => {
  assert.ok(thrown instanceof WeftError, String(thrown));
  return `${thrown.code} ${thrown.message}`;
};

const ways: Record<string, Way> = {
  "the registry itself": (endpoint) => registry.register(endpoint, 3_000).then(() => "", textOf),

  async gRPC(endpoint) {
    const { client, close } = createDirectClient(Endpoints, plane.address);
    try {
      return await client.registerEndpoint({ endpoint: endpointToMessage(endpoint) }).then(() => "", textOf);
    } finally {
      await close();
    }
  },

  async REST(endpoint) {
    const { protocol, health: _, ...rest } = endpoint;
    const answer = await fetch(`http://${plane.address}/v1/endpoints`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ endpoint: { ...rest, protocol: `PROTOCOL_${protocol.toUpperCase()}` } }),
    });
    return answer.ok ? "" : `${answer.status} ${await answer.text()}`;
  },

  async "a process's line"(endpoint) {
    const policy = createPolicyRuntime({ random: seededRandom(1) });
    const link = createLink({ address: plane.address, policy });
    try {
      const registered = await link.register({ endpoint, contracts: [], descriptors: null });
      await registered.release();
      return "";
    } catch (thrown) {
      return textOf(thrown);
    } finally {
      await link.close();
    }
  },

  async "Consul's API"(endpoint) {
    const { id, service, host, port, version, zone, weight, protocol, metadata } = endpoint;
    const answer = await fetch(`http://127.0.0.1:${plane.consul?.port}/v1/agent/service/register`, {
      method: "PUT",
      body: JSON.stringify({
        ID: id,
        Name: service,
        Address: host,
        Port: port,
        Weights: { Passing: weight },
        Meta: { ...metadata, protocol, ...(version && { version }), ...(zone && { zone }) },
      }),
    });
    return answer.ok ? "" : `${answer.status} ${await answer.text()}`;
  },

  async "the command line, by flags"(endpoint) {
    const { id, service, host, port, version, zone, weight, protocol, metadata } = endpoint;
    const address = `${host.includes(":") && !host.startsWith("[") ? `[${host}]` : host}:${port}`;
    const { status, stderr } = await weft(
      ...["registry", "register", "--control", plane.address, "--ttl", "none", `--id=${id}`, `--service=${service}`],
      ...[
        `--address=${address}`,
        `--weight=${weight}`,
        `--protocol=${protocol}`,
        `--endpoint-version=${version}`,
        `--zone=${zone}`,
      ],
      ...Object.entries(metadata).map(([name, value]) => `--metadata=${name}=${value}`),
    );
    return status === 0 ? "" : `${status} ${stderr}`;
  },

  async "the command line, by a file"(endpoint) {
    const { host, port, health: _, ...rest } = endpoint;
    const file = join(folder, "endpoint.json");
    const address = `${host.includes(":") && !host.startsWith("[") ? `[${host}]` : host}:${port}`;
    writeFileSync(file, JSON.stringify({ ...rest, address }));
    const { status, stderr } = await weft(
      "registry",
      "register",
      "--control",
      plane.address,
      "--ttl",
      "none",
      "-f",
      file,
    );
    return status === 0 ? "" : `${status} ${stderr}`;
  },
};

const good = endpointOf("alpha", 1);
/** What is wrong; what every message has to name; the ways that cannot be asked so, with the reason. */
const cases: readonly [
  what: string,
  part: Partial<Endpoint>,
  named: RegExp,
  except?: Readonly<Record<string, string>>,
][] = [
  ["an id with a blank", { id: "a b" }, /\bid\b/i],
  ["an id of 129 characters", { id: "x".repeat(129) }, /\bid\b/i],
  ["an id that begins with a hyphen", { id: "-a" }, /\bid\b/i],
  ["a service that is no DNS label", { service: "Alpha_1" }, /service|name/i],
  ["a service of 64 characters", { service: "a".repeat(64) }, /service|name/i],
  ["a service that ends with a hyphen", { service: "alpha-" }, /service|name/i],
  ["an address that is none", { host: "300.1.1.1" }, /host/],
  ["a host with an empty label", { host: "a..b" }, /host/],
  ["a host of 300 characters", { host: `${"a".repeat(60)}.`.repeat(5).slice(0, 299) }, /host/],
  ["port 0", { port: 0 }, /port/i],
  ["port 65536", { port: 65_536 }, /port|address/i],
  ["a version with a blank", { version: "v 1" }, /version/],
  ["a zone of 65 characters", { zone: "z".repeat(65) }, /zone/],
  ["a weight over its limit", { weight: 10_001 }, /weight/],
  ["a negative weight", { weight: -1 }, /weight/],
  ["a metadata name with a blank", { metadata: { "a b": "1" } }, /metadata/],
  ["a metadata value of 1,025 bytes", { metadata: { a: "x".repeat(1_025) } }, /metadata\.a/],
  [
    "65 metadata entries",
    { metadata: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`k${i}`, "1"])) },
    /metadata/,
  ],
  [
    "metadata of 9,000 bytes together",
    { metadata: Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`k${i}`, "x".repeat(1_000)])) },
    /metadata/,
  ],
  [
    "an identity of another service",
    { identity: "spiffe://default/other" },
    /identity|proves/,
    {
      "the registry itself": "it takes what the control plane let pass",
      "Consul's API": "it has no identities",
      "the command line, by flags": "there is no such flag",
      "the command line, by a file": "the field is refused as unknown: its own test",
    },
  ],
  [
    "an id that another endpoint has",
    { id: "taken-1", service: "alpha" },
    /taken-1\\?" is an endpoint of taken at 10\.0\.0\.1, port 9000, already/,
    {
      "the registry itself": "the same id again replaces: a process that has moved",
      "a process's line": "likewise; the earlier owner is told (LEASE_REPLACED)",
    },
  ],
];

for (const [name, way] of Object.entries(ways)) {
  test(`${name} refuses what is wrong, and nothing is changed`, async () => {
    for (const [what, part, named, except = {}] of cases) {
      if (except[name] !== undefined) continue;
      const said = await way({ ...good, ...part });
      assert.match(said, named, `${what}: ${said || "it was taken"}`);
      assert.doesNotMatch(said, /bug in weft|internal/i, what);
      assert.deepEqual((await registry.query(["*"])).endpoints, [untouched], what);
    }
    // And what is right is taken: what was refused was so for what was wrong with it.
    assert.equal(await way(good), "");
    for (const { id } of (await registry.query(["alpha"])).endpoints)
      await weft("registry", "deregister", id, "--control", plane.address);
    assert.deepEqual((await registry.query(["*"])).endpoints, [untouched]);
  });
}

test("the command line says which file, and which flag", async () => {
  const file = join(folder, "odd.yaml");
  const said = async (text: string, ...more: string[]) => {
    writeFileSync(file, text);
    const { status, stderr } = await weft(
      "registry",
      "register",
      "--control",
      plane.address,
      "--ttl",
      "none",
      "-f",
      file,
      ...more,
    );
    assert.equal(status, 1, text);
    return stderr;
  };
  assert.match(
    await said("service: alpha\naddress: 10.0.0.1:80\ncolour: red\n"),
    /odd\.yaml: colour is not known; fields are/,
  );
  assert.match(
    await said("service: alpha\naddress: 10.0.0.1:80\nidentity: spiffe://default/other\n"),
    /identity is not known/,
  );
  assert.match(await said("service: alpha\n"), /odd\.yaml: address is missing: --address HOST:PORT/);
  assert.match(await said("service: alpha\naddress: 10.0.0.1\n"), /address must be HOST:PORT/);
  assert.match(await said("service: [1]\naddress: 10.0.0.1:80\n"), /service must be a text/);
  assert.match(await said("- service: alpha\n"), /must be one endpoint/);
  assert.match(await said("service: {\n"), /odd\.yaml: \(file\) cannot be read/);
  assert.match(
    await said("service: alpha\naddress: 10.0.0.1:80\n", "--metadata", "novalue"),
    /metadata must be NAME=VALUE/,
  );
  assert.deepEqual((await registry.query(["*"])).endpoints, [untouched]);
});

test("health and deregistration of what is not there, and health that is none", async () => {
  const answers = async (method: string, path: string, body?: unknown) => {
    const answer = await fetch(`http://${plane.address}${path}`, {
      method,
      headers: { "content-type": "application/json" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return `${answer.status} ${await answer.text()}`;
  };
  assert.match(await answers("DELETE", "/v1/endpoints/nobody"), /^404 .*no endpoint/);
  assert.match(await answers("POST", "/v1/endpoint-health", { id: "nobody", health: "HEALTH_DRAINING" }), /^404 /);
  assert.match(await answers("POST", "/v1/endpoint-health", { id: "taken-1" }), /^400 .*health must be/);
  assert.match(await answers("POST", "/v1/endpoints", {}), /^400 .*endpoint is missing/);
  assert.match(
    await answers("POST", "/v1/endpoints", {
      endpoint: { ...good, protocol: "PROTOCOL_H2C", health: undefined },
      ttlMs: 5,
    }),
    /^400 .*ttlMs/,
  );
  const flags = await weft("registry", "health", "taken-1", "odd", "--control", plane.address);
  assert.deepEqual([flags.status, /draining/.test(flags.stderr)], [2, true]);
  assert.equal((await weft("registry", "health", "nobody", "draining", "--control", plane.address)).status, 1);
  assert.deepEqual((await registry.query(["*"])).endpoints, [untouched]);
});
