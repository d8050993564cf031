import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createRequire } from "node:module";
import { test, type TestContext } from "node:test";
import { WeftError } from "../../core/errors.ts";
import { generate } from "./generate.ts";

const COUNTER = `syntax = "proto3";
package counter.v1;
import "google/api/annotations.proto";
import "counter/v1/types.proto";
service Counter {
  rpc Count(Number) returns (Number) {
    option (google.api.http) = {get: "/v1/counter/{value}"};
  }
}
`;
const TYPES = `syntax = "proto3";
package counter.v1;
message Number {
  int64 value = 1;
}
`;

// weft's tests run without the network and without optional peers; buf's binary may be missing on this platform.
const skip = hasBuf() ? false : "buf is not installed";

test("compiles contracts to TypeScript that imports weftmesh/contract and its neighbours", { skip }, async (t) => {
  const cwd = await project(t, { "proto/counter/v1/counter.proto": COUNTER, "proto/counter/v1/types.proto": TYPES });
  const result = await generate({ cwd });
  assert.deepEqual(result, { files: ["counter/v1/counter.ts", "counter/v1/types.ts"], written: ["counter/v1/counter.ts", "counter/v1/types.ts"], removed: [] });
  const code = await readFile(join(cwd, "gen/counter/v1/counter.ts"), "utf8");
  const imports = new Set([...code.matchAll(/from "([^"]+)"/g)].map(([, from]) => from));
  assert.deepEqual(imports, new Set(["weftmesh/contract", "./types.ts"]));
});

test("writes only what changed, removes what no contract makes, and leaves other files alone", { skip }, async (t) => {
  const cwd = await project(t, { "proto/counter/v1/counter.proto": COUNTER, "proto/counter/v1/types.proto": TYPES, "gen/notes.ts": "// mine\n" });
  await generate({ cwd });
  assert.deepEqual((await generate({ cwd })).written, []);
  await rm(join(cwd, "proto/counter/v1/counter.proto"));
  assert.deepEqual(await generate({ cwd }), { files: ["counter/v1/types.ts"], written: [], removed: ["counter/v1/counter.ts"] });
  assert.deepEqual((await readdir(join(cwd, "gen"))).sort(), ["counter", "notes.ts"]);
});

test("check compares and writes nothing", { skip }, async (t) => {
  const cwd = await project(t, { "proto/counter/v1/types.proto": TYPES });
  const stale = (error: unknown) => error instanceof WeftError && error.reason === "STALE" && /gen\/counter\/v1\/types\.ts/.test(error.message);
  await assert.rejects(generate({ cwd, check: true }), stale);
  await assert.rejects(readdir(join(cwd, "gen")));
  await generate({ cwd });
  assert.deepEqual((await generate({ cwd, check: true })).files, ["counter/v1/types.ts"]);
  await writeFile(join(cwd, "proto/counter/v1/types.proto"), TYPES.replace("value", "amount"));
  await assert.rejects(generate({ cwd, check: true }), stale);
});

test("a broken contract is told with file, line, column and a suggestion", { skip }, async (t) => {
  const cwd = await project(t, { "proto/counter/v1/types.proto": TYPES.replace("int64", "long") });
  await assert.rejects(generate({ cwd }), (error: unknown) => {
    assert.ok(error instanceof WeftError);
    assert.deepEqual(error.place, { file: "proto/counter/v1/types.proto", line: 4, column: 3 });
    assert.match(error.message, /^proto\/counter\/v1\/types\.proto:4:3: .*`long`.*did you mean int32 or int64\?$/);
    return true;
  });
});

test("a wrong http rule is told at its line, naming method, rule and field", { skip }, async (t) => {
  const cwd = await project(t, { "proto/counter/v1/counter.proto": COUNTER.replace("{value}", "{valeu}"), "proto/counter/v1/types.proto": TYPES });
  await assert.rejects(generate({ cwd }), (error: unknown) => {
    assert.ok(error instanceof WeftError);
    assert.equal(error.place?.line, 7);
    assert.match(error.message, /counter\.v1\.Counter\/Count: google\.api\.http rule "GET \/v1\/counter\/\{valeu\}".*no field "valeu"; did you mean "value"\?/);
    return true;
  });
});

test("two methods with one path are told, naming both", { skip }, async (t) => {
  const twice = COUNTER.replace("service Counter {", 'service Counter {\n  rpc Other(Number) returns (Number) { option (google.api.http) = {get: "/v1/counter/{value=*}"}; }');
  const cwd = await project(t, { "proto/counter/v1/counter.proto": twice, "proto/counter/v1/types.proto": TYPES });
  await assert.rejects(generate({ cwd }), /Counter\/Other .* and counter\.v1\.Counter\/Count .* match the same requests/);
});

test("a folder without contracts is an error that says what to do", { skip }, async (t) => {
  await assert.rejects(generate({ cwd: await project(t, {}) }), /no \.proto files in proto; write one/);
});

test("this repository's generated code is fresh", { skip }, () => {
  const root = join(import.meta.dirname, "../../..");
  execFileSync(process.execPath, ["-C", "weft-source", "scripts/gen.ts", "--check"], { cwd: root, stdio: ["ignore", "ignore", "pipe"] });
});

async function project(t: TestContext, files: Record<string, string>): Promise<string> {
  const cwd = await mkdtemp(join(tmpdir(), "weft-gen-test-"));
  t.after(() => rm(cwd, { recursive: true, force: true }));
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(cwd, path)), { recursive: true });
    await writeFile(join(cwd, path), content);
  }
  return cwd;
}

function hasBuf(): boolean {
  try {
    const require = createRequire(import.meta.url);
    execFileSync(process.execPath, [join(dirname(require.resolve("@bufbuild/buf/package.json")), "bin/buf"), "--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
