import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";

const ROOT = join(import.meta.dirname, "..");
/** Imports that are carried out when a module is loaded: neither types nor import(). */
const STATIC = /^\s*(?:import|export)\s+(?!type\b)(?:[^"';]*?from\s*)?"([^"]+)"/gm;

/** The packages that are loaded with a module of ours, each with the module that asks for it. */
function packagesOf(entry: string): Map<string, string> {
  return loadedWith(entry).packages;
}

function loadedWith(entry: string): { packages: Map<string, string>; builtins: Map<string, string>; files: string[] } {
  const packages = new Map<string, string>();
  const builtins = new Map<string, string>();
  const seen = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const [, specifier] of readFileSync(file, "utf8").matchAll(STATIC)) {
      if (specifier.startsWith(".")) visit(join(dirname(file), specifier));
      else (specifier.startsWith("node:") ? builtins : packages).set(specifier, relative(ROOT, file));
    }
  };
  visit(join(ROOT, entry));
  assert.ok(seen.size > 10, `only ${seen.size} modules were found`);
  return { packages, builtins, files: Array.from(seen, (file) => relative(ROOT, file)) };
}

test("weft proxy loads no package to pass calls on: what it holds in memory is its own", () => {
  assert.deepEqual([...packagesOf("src/cli/commands/proxy.ts")], []);
});

test("packages that few policies need are loaded when one needs them", () => {
  for (const entry of ["src/cli/commands/gateway.ts", "src/index.ts", "src/system.ts"]) {
    const packages = packagesOf(entry);
    for (const name of ["re2js", "jose", "@bufbuild/cel", "iovalkey"])
      assert.equal(packages.get(name), undefined, `${name} at ${entry}`);
  }
});

test("a sidecar loads neither an HTTP stack beside its own nor what few policies and commands need", () => {
  const { packages, builtins, files } = loadedWith("src/cli/commands/sidecar.ts");
  for (const name of packages.keys()) assert.match(name, /^@bufbuild\/protobuf/, packages.get(name));
  // Of an idle process node:http, which brings a client and a parser with it, is 7 MB.
  for (const name of [
    "node:http",
    "node:https",
    "node:http2",
    "node:sqlite",
    "node:zlib",
    "node:perf_hooks",
    "node:module",
    "node:vm",
  ])
    assert.equal(builtins.get(name), undefined, name);
  for (const file of ["src/dns/", "src/control/", "src/drivers/", "src/contract/gen/grpc/reflection/", "src/cli/gen/"])
    assert.deepEqual(
      files.filter((loaded) => loaded.startsWith(file)),
      [],
      file,
    );
});

test("a sidecar with well-formed arguments is started without the command line's parser and the other commands", () => {
  const { packages, files } = loadedWith("src/cli/run-sidecar.ts");
  assert.deepEqual([...packages.keys()], []);
  for (const file of ["src/cli/program.ts", "src/cli/sidecar-command.ts"]) assert.ok(!files.includes(file), file);
  assert.equal(loadedWith("src/link/identity-line.ts").builtins.get("node:util"), undefined);
});

test("Envoy's API is loaded by the control plane and weftmesh/xds alone", () => {
  const ofEnvoy = (entry: string) => loadedWith(entry).files.filter((file) => file.includes("/gen/envoy/"));
  const commands = ["gateway", "proxy", "sidecar", "up", "call"].map((name) => `src/cli/commands/${name}.ts`);
  for (const entry of ["src/index.ts", "src/system.ts", "src/testing.ts", ...commands])
    assert.deepEqual(ofEnvoy(entry), [], entry);
  for (const entry of ["src/xds.ts", "src/control/control-plane.ts"]) assert.ok(ofEnvoy(entry).length > 50, entry);
});
