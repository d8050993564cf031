import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Command } from "commander";
import { EXIT } from "./exit-status.ts";
import { createProgram } from "./program.ts";
import { keptTerminal, weft } from "./weft.case.ts";

function folder(t: TestContext, description?: string): string {
  const dir = mkdtempSync(join(tmpdir(), "weft-cli-"));
  t.after(() => rmSync(dir, { recursive: true }));
  if (description !== undefined) writeFileSync(join(dir, "weft.yaml"), description);
  return dir;
}

test("the help names every command and the exit statuses", async () => {
  const { status, stdout, stderr } = await weft("--help");
  assert.equal(status, EXIT.ok);
  assert.equal(stderr, "");
  for (const name of ["up", "gen", "ps", "logs", "restart", "stop", "call", "proxy", "control", "gateway", "schema"]) {
    assert.match(stdout, new RegExp(`^ {2}${name}\\b`, "m"));
  }
  assert.match(stdout, /Exit status:/);
});

test("every command has help that describes each of its options and arguments", async () => {
  for (const [path, command] of everyCommand(
    createProgram(keptTerminal(), () => {}),
    [],
  )) {
    const name = path.join(" ");
    const { status, stdout } = await weft(...path, "--help");
    assert.equal(status, EXIT.ok, name);
    assert.doesNotMatch(stdout, /\(default:\s+(false|"")/, name);
    assert.match(
      command.description(),
      /^.{15,}\.( docs\/[a-z-]+\.md\.)?$|docs\/[a-z-]+\.md\.$/s,
      `${name} is not described`,
    );
    assert.match(command.summary(), /^[a-z].{3,60}[^.]$/, `${name} has no short summary`);
    for (const option of command.options) {
      assert.ok(stdout.includes(option.flags), `${name} ${option.flags}`);
      assert.notEqual(option.description, "", `${name} ${option.flags}`);
    }
    for (const argument of command.registeredArguments) assert.notEqual(argument.description, "", name);
  }
});

function* everyCommand(parent: Command, path: readonly string[]): Generator<[path: string[], command: Command]> {
  for (const command of parent.commands) {
    const here = [...path, command.name()];
    yield [here, command];
    yield* everyCommand(command, here);
  }
}

test("who uses a command of a command wrongly is told of that one's help", async () => {
  const { status, stderr } = await weft("settings", "gray", "begin", "orders");
  assert.equal(status, EXIT.usage);
  assert.match(
    stderr,
    /missing required argument 'key=value'\n\(weft settings gray begin --help shows how it is used\)/,
  );
});

test("the version is the package's", async () => {
  for (const flag of ["--version", "-V"]) assert.match((await weft(flag)).stdout, /^\d+\.\d+\.\d+\n$/);
});

test("unknown commands and options are errors with a suggestion", async () => {
  const command = await weft("pss");
  assert.equal(command.status, EXIT.usage);
  assert.match(command.stderr, /unknown command 'pss'\n\(Did you mean ps\?\)\n\(weft --help shows the commands\)/);
  const option = await weft("up", "--jsn");
  assert.equal(option.status, EXIT.usage);
  assert.match(
    option.stderr,
    /unknown option '--jsn'\n\(Did you mean --json\?\)\n\(weft up --help shows how it is used\)/,
  );
});

test("missing and bad arguments are usage errors that name them", async () => {
  for (const [args, wanted] of [
    [["logs"], /missing required argument 'name'/],
    [["up", "a", "b"], /too many arguments/],
    [["up", "--listen", "here"], /'here' is invalid. It must be PORT or HOST:PORT/],
    [["up", "--load", "-1"], /It must be a number above 0/],
    [["proxy", "--listen", "1"], /required option '--to <address...>' not specified/],
    [["call", "Count"], /names no method; write it as package.Service\/Method/],
    [["call", "a.B/C", "{"], /the request is no JSON/],
    [["call", "a.B/C", "-H", "x"], /is no header; write it as name:value/],
    [["gateway", "--access-log", "some", "--control", "1"], /Allowed choices are all, errors, off/],
  ] as const) {
    const { status, stderr } = await weft(...args);
    assert.equal(status, EXIT.usage, args.join(" "));
    assert.match(stderr, wanted);
  }
});

test("without a command the help goes to stderr and the status tells", async () => {
  const { status, stdout, stderr } = await weft();
  assert.equal(status, EXIT.usage);
  assert.equal(stdout, "");
  assert.match(stderr, /Usage: weft/);
});

test("a folder without a description, or without a running system, says what to do", async (t) => {
  const empty = folder(t);
  const up = await weft("up", empty);
  assert.equal(up.status, EXIT.failed);
  assert.match(up.stderr, /^error: .* has no weft\.config\.ts; .* \[NO_SYSTEM\]\n$/);
  assert.match(
    (await weft("ps", "-C", empty)).stderr,
    /has no weft\.config\.ts; name the folder of the running system with --dir/,
  );
  const described = folder(t, "name: x\nservices: { a: { run: [x] } }\n");
  for (const args of [["ps"], ["logs", "a"], ["restart", "a"], ["stop"], ["call", "a.B/C"]]) {
    const { status, stderr } = await weft(...args, "-C", described);
    assert.equal(status, EXIT.failed, args.join(" "));
    assert.match(stderr, /no system runs in .*; start it with: weft up .* \[NOT_RUNNING\]/);
  }
});

test("errors of a description have file, line, field and a suggestion, as text and as JSON", async (t) => {
  const dir = folder(t, "name: shop\nservices:\n  users: { run: [x], replica: 2 }\n");
  const text = await weft("up", dir);
  assert.equal(text.status, EXIT.failed);
  assert.match(
    text.stderr,
    /weft\.yaml:3:22 services\.users\.replica: unknown field; did you mean "replicas"\? \[INVALID_SYSTEM\]\n$/,
  );
  const json = await weft("up", dir, "--json");
  const error = JSON.parse(json.stdout);
  assert.deepEqual(
    [error.type, error.reason, error.place.line, error.place.field],
    ["error", "INVALID_SYSTEM", 3, "services.users.replica"],
  );
  assert.equal(json.stderr, "");
});

test("wrong routes are found before anything runs, and right ones are printed as YAML", async (t) => {
  const route = (spec: string) =>
    `name: shop\nservices: { users: { run: [x] } }\nroutes:\n  - apiVersion: gateway.networking.k8s.io/v1\n    kind: HTTPRoute\n    metadata: { name: r }\n    spec: ${spec}\n`;
  const wrong = await weft("up", folder(t, route("{ rules: [{ backendRef: [] }] }")));
  assert.equal(wrong.status, EXIT.failed);
  assert.match(wrong.stderr, /weft\.yaml:7:\d+ .*backendRef: unknown field; did you mean "backendRefs"\?/);
  const right = await weft("up", "--print", folder(t, route("{ rules: [{ backendRefs: [{ name: users }] }] }")));
  assert.equal(right.status, EXIT.ok);
  assert.match(right.stdout, /^kind: HTTPRoute$/m);
  const warned = await weft("up", "--print", folder(t, route("{ rules: [{ backendRefs: [{ name: user }] }] }")));
  assert.match(warned.stderr, /^warning: .*no service user is declared; did you mean "users"\?/);
  const limit = `---\napiVersion: weftmesh.dev/v1\nkind: RateLimit\nmetadata: { name: users }\nspec: { targetRefs: [{ kind: Service, name: users }], requests: 5 }\n`;
  const yaml = route("{ rules: [{ backendRefs: [{ name: users }] }] }");
  const unenforced = yaml
    .replace("run: [x]", "run: [x], register: self")
    .replace("name: shop\n", "name: shop\ngateway: false\n");
  const nowhere = await weft("up", "--print", folder(t, unenforced + limit));
  assert.match(
    nowhere.stderr,
    /^warning: .*weft\.yaml:\d+:\d+ .*RateLimit\.enforcedBy is enforced by nothing that is there \(client, server\): a caller/m,
  );
  assert.equal((await weft("up", "--print", folder(t, yaml + limit))).stderr, "");
});

test("what --print prints can be used in place of builders", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "weft-cli-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const builders = JSON.stringify(new URL("../policy/builders.ts", import.meta.url).href);
  const services = 'name: "shop", services: { users: { run: ["x"] } }';
  const routes = 'routes: [route("/v1").to("users").cors("*").sticky()], policies: [traffic("users").timeout("2s")]';
  writeFileSync(
    join(dir, "weft.config.mts"),
    `import { route, traffic } from ${builders};\nexport default { ${services}, ${routes} };`,
  );
  const printed = await weft("up", "--print", dir);
  assert.match(printed.stdout, /kind: HTTPRoute\n.*---\n.*kind: TrafficPolicy\n/s);
  const other = mkdtempSync(join(tmpdir(), "weft-cli-"));
  t.after(() => rmSync(other, { recursive: true }));
  writeFileSync(join(other, "weft.config.mts"), `export default { ${services} };`);
  writeFileSync(join(other, "weft.yaml"), printed.stdout);
  assert.equal((await weft("up", "--print", other)).stdout, printed.stdout);
  writeFileSync(join(other, "weft.yaml"), printed.stdout.replace("timeout: 2s", "timeout: 2"));
  assert.match((await weft("up", "--print", other)).stderr, /weft\.yaml:\d+:\d+ spec\.timeout: needs a unit/);
});

test("the schema that the package publishes is printed", async () => {
  const { status, stdout } = await weft("schema");
  assert.equal(status, EXIT.ok);
  assert.equal(JSON.parse(stdout).$defs.HTTPRoute.type, "object");
});

test("a load driver that is not described cannot be asked for", async (t) => {
  const { status, stderr } = await weft("up", "--load", "5", folder(t, "name: x\nservices: { a: { run: [x] } }\n"));
  assert.equal(status, EXIT.failed);
  assert.match(stderr, /names no load driver; add: load: "load\.ts" \[NO_LOAD_DRIVER\]/);
});

test("what is no network of trusted proxies is refused before anything listens", async () => {
  const { status, stderr } = await weft("proxy", "--to", "9000", "--trusted-proxies", "10.0.0.0/8, 10.0.0.0/99");
  assert.equal(status, EXIT.usage);
  assert.match(stderr, /"10\.0\.0\.0\/99" is no address or network in CIDR notation/);
});

test("a url that stands where none belongs is told without its secret", async () => {
  for (const args of [
    ["registry", "ls", "consul://hunter2@127.0.0.1:8500"],
    ["registry", "--regstry=postgres://weft:hunter2@db/shop"],
    ["postgres://weft:hunter2@db/shop"],
  ]) {
    const { status, stdout, stderr } = await weft(...args);
    assert.equal(status, 2);
    assert.doesNotMatch(stdout + stderr, /hunter2/);
  }
});
