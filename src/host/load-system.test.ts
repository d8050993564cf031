import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { WeftError } from "../core/errors.ts";
import { parseAddress } from "./address.ts";
import { loadSystem } from "./load-system.ts";

function project(t: TestContext, files: Record<string, string>): string {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), "weft-system-")));
  t.after(() => rmSync(dir, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), text);
  }
  return dir;
}

/** The lines of the error that loading gives, without the folder. */
async function problems(dir: string): Promise<string[]> {
  try {
    await loadSystem(dir);
  } catch (error) {
    assert.ok(error instanceof WeftError, String(error));
    return error.message.replaceAll(`${dir}/`, "").replaceAll(dir, "DIR").split("\n");
  }
  assert.fail("the system was loaded");
}

test("a description becomes a total system in order of needs", async (t) => {
  const dir = project(t, {
    "weft.config.ts": `export default {
      name: "shop",
      gateway: {
        listen: "0.0.0.0:80",
        trustedProxies: ["10.0.0.0/8"],
        proxyProtocol: ["10.0.0.9"],
        listeners: { db: "tcp:5432", dns: "udp:[::1]:53" },
      },
      services: {
        orders: { run: "orders.ts", needs: ["products", "legacy"], replicas: 3, env: { LEVEL: 2 } },
        products: { versions: { v1: { run: "p.ts", replicas: 2 }, v2: { run: "p.ts", env: { RATINGS: true } } }, drainMs: 100 },
        legacy: { run: ["python3", "app.py"] },
      },
    };`,
    "orders.ts": "",
    "p.ts": "",
    "proto/a.proto": "",
  });
  const system = await loadSystem(dir);
  assert.equal(system.name, "shop");
  assert.equal(system.dir, dir);
  assert.deepEqual(system.gateway, {
    host: "0.0.0.0",
    port: 80,
    adminHost: "127.0.0.1",
    adminPort: 0,
    tls: null,
    trustedProxies: ["10.0.0.0/8"],
    proxyProtocol: ["10.0.0.9"],
    listeners: [
      { name: "db", protocol: "TCP", host: "127.0.0.1", port: 5432 },
      { name: "dns", protocol: "UDP", host: "::1", port: 53 },
    ],
  });
  assert.deepEqual(
    system.units.map((unit) => [unit.name, unit.prefix, unit.replicas, unit.drainMs, unit.env, unit.needs]),
    [
      ["products@v1", "products-v1", 2, 100, {}, []],
      ["products@v2", "products-v2", 1, 100, { RATINGS: "true" }, []],
      ["legacy", "legacy", 1, 10_000, {}, []],
      ["orders", "orders", 3, 10_000, { LEVEL: "2" }, ["products@v1", "products@v2", "legacy"]],
    ],
  );
  assert.deepEqual(system.units[2].command, { kind: "exec", argv: ["python3", "app.py"] });
  assert.deepEqual(system.contracts, [join(dir, "proto")]);
});

test("everything that is wrong is told at once, with line, field and suggestion", async (t) => {
  const dir = project(t, {
    "weft.config.ts": `export default {
  name: "My Shop", registry: "mysql://me:secret@h1", mode: "fast",
  gatway: {},
  gateway: { listen: "eighty", trustedProxies: ["10.0.0/8"], listeners: { DB: "5432" } },
  services: {
    users: { run: "users.ts", replica: 2 },
    orders: { run: "node orders.js", needs: ["user"], restart: "allways" },
    stock: { run: "nowhere.ts", replicas: -1 },
    gateway: { run: ["x"] },
  },
};
`,
    "users.ts": "",
  });
  assert.deepEqual(await problems(dir), [
    'weft.config.ts:2:3 name: "My Shop" is no name: lower-case letters and digits, with "-" inside; for example "my-shop"',
    'weft.config.ts:2:20 registry: must be a url such as "etcd://127.0.0.1:2379" (docs/registry.md)',
    'weft.config.ts:2:54 mode: must be "available" or "consistent" (docs/registry.md)',
    'weft.config.ts:3:3 gatway: unknown field; did you mean "gateway"?',
    'weft.config.ts:4:14 gateway.listen: must be a port or "host:port", not "eighty"; for example 8080 or "0.0.0.0:8080"',
    'weft.config.ts:4:49 gateway.trustedProxies[0]: "10.0.0/8" is no address or network in CIDR notation, such as "10.0.0.0/8"',
    'weft.config.ts:4:75 gateway.listeners.DB: "DB" is no name: lower-case letters and digits, with "-" or "." inside',
    'weft.config.ts:4:75 gateway.listeners.DB: "5432" is no listener; write a protocol and where: "tcp:5432", "udp:53", "tls:0.0.0.0:443"',
    'weft.config.ts:6:31 services.users.replica: unknown field; did you mean "replicas"?',
    'weft.config.ts:7:15 services.orders.run: "node orders.js" is no .ts or .js file; write a command as an array: ["node","orders.js"]',
    'weft.config.ts:7:46 services.orders.needs[0]: there is no service "user"; did you mean "users"?',
    'weft.config.ts:7:55 services.orders.restart: must be "always" or "never", not "allways"; did you mean "always"?',
    "weft.config.ts:8:14 services.stock.run: no file nowhere.ts in DIR",
    "weft.config.ts:8:33 services.stock.replicas: must be a whole number from 0 to 1000, not -1",
    'weft.config.ts:9:5 services.gateway: "gateway" is a name of weft\'s own; choose another',
  ]);
});

test("a cycle of needs is named", async (t) => {
  const dir = project(t, {
    "weft.config.ts":
      'export default { name: "x", services: {\n a: { run: ["x"], needs: ["b"] },\n b: { run: ["x"], needs: ["c"] },\n c: { run: ["x"], needs: ["b"] } } };',
  });
  assert.deepEqual(await problems(dir), [
    "weft.config.ts:3:19 services.b.needs: needs itself: b -> c -> b; remove one of these needs",
  ]);
});

test("YAML is read as well, and its errors have lines too", async (t) => {
  const dir = project(t, { "weft.yaml": "name: shop\nservices:\n  users:\n    run: [x]\n    replcas: 2\n" });
  assert.deepEqual(await problems(dir), [
    'weft.yaml:5:5 services.users.replcas: unknown field; did you mean "replicas"?',
  ]);
  const broken = project(t, { "weft.yaml": "name: shop\nservices: [\n" });
  assert.match((await problems(broken))[0], /^weft\.yaml:\d+:\d+: /);
});

const ROUTE =
  "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: { name: r }\nspec: { rules: [{ backendRefs: [{ name: users }] }] }\n";

test("resources may stand in documents after the system, in files that it names, and in a weft.yaml beside a module", async (t) => {
  const system = "name: shop\nservices: { users: { run: [x] } }\n";
  const names = async (files: Record<string, string>): Promise<unknown[]> =>
    (await loadSystem(project(t, files))).resources.map(({ value }) => (value as { value?: unknown }).value ?? value);
  assert.equal((await names({ "weft.yaml": `${system}---\n${ROUTE}---\n${ROUTE}` })).length, 2);
  assert.equal((await names({ "weft.yaml": `${system}resources: [more.yaml]\n`, "more.yaml": ROUTE })).length, 1);
  const module =
    'export default { name: "shop", services: { users: { run: ["x"] } }, routes: [{ kind: "HTTPRoute" }] };';
  const both = await names({ "weft.config.ts": module, "weft.yaml": ROUTE });
  assert.deepEqual(
    both.map((value) => (value as { kind: string; spec?: object }).spec === undefined),
    [true, false],
  );
  const missing = await problems(project(t, { "weft.yaml": `${system}resources: more.yml\n` }));
  assert.deepEqual(missing, ["weft.yaml:3:1 resources[0]: no file more.yml in DIR"]);
  const alone = await problems(project(t, { "weft.yaml": ROUTE }));
  assert.match(alone[0], /^weft\.yaml:1:1: has resources only; describe the system/);
});

test("syntax errors are shown with the lines around them and no stack", async (t) => {
  const dir = project(t, { "weft.config.ts": 'export default {\n  name: "shop" as,\n};\n' });
  assert.deepEqual((await problems(dir)).slice(1), [
    "  1 | export default {",
    '> 2 |   name: "shop" as,',
    "    |                  ^",
    "  3 | };",
  ]);
  assert.match((await problems(dir))[0], /^weft\.config\.ts:2:18: /);
});

test("errors of what the description imports stand at their own place", async (t) => {
  const missing = project(t, { "weft.config.ts": '\nimport { a } from "./nothing.ts";\nexport default a;' });
  assert.equal((await problems(missing))[0], "weft.config.ts:2:22: there is no file nothing.ts");
  const throwing = project(t, { "weft.config.ts": 'import "./a.ts";\nexport default {};', "a.ts": "\n\nnope();\n" });
  assert.equal((await problems(throwing))[0], "a.ts:3:1: ReferenceError: nope is not defined");
});

test("no description, two of them, or none exported is an error that says what to do", async (t) => {
  assert.match((await problems(project(t, {})))[0], /has no weft\.config\.ts/);
  assert.match(
    (await problems(project(t, { "weft.config.ts": "", "weft.yaml": "" })))[0],
    /has weft\.config\.ts and weft\.yaml; keep one/,
  );
  assert.match((await problems(project(t, { "weft.config.ts": "export const a = 1;" })))[0], /exports no system/);
});

test("addresses are a port, or a host and a port", () => {
  assert.deepEqual(parseAddress("8080"), { host: "127.0.0.1", port: 8080 });
  assert.deepEqual(parseAddress(":0"), { host: "127.0.0.1", port: 0 });
  assert.deepEqual(parseAddress("[::1]:80"), { host: "::1", port: 80 });
  assert.deepEqual(parseAddress("localhost:80"), { host: "localhost", port: 80 });
  for (const text of ["", "a", "a:b", "1:2:3", "a:99999", "::1:80"]) assert.equal(parseAddress(text), null, text);
});
