import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

const root = join(import.meta.dirname, "..");
const folder = mkdtempSync(join(tmpdir(), "weft-package-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** The README's code blocks that begin with a file's name, as that file. */
function readmeFile(name: string): string {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const block = new RegExp(`\`\`\`ts\\n// ${name.replace(".", "\\.")}\\n([\\s\\S]*?)\`\`\``).exec(readme);
  assert.ok(block, `the README has an example ${name}`);
  return block[1];
}

test("the packed package, installed into an empty project, generates, serves and calls the README's first example", {
  timeout: 240_000,
}, async () => {
  const npm = (args: string[], cwd: string) =>
    execFileSync("npm", [...args, "--no-audit", "--no-fund", "--loglevel=error"], {
      cwd,
      encoding: "utf8",
      shell: process.platform === "win32",
    });
  const project = join(folder, "project");
  mkdirSync(project);
  const packed = npm(["pack", "--pack-destination", folder], root).trim().split("\n").at(-1) as string;
  // Its dependencies are taken from here, so that the test needs no registry.
  const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const local = Object.keys(dependencies).map((name) => [name, `file:${join(root, "node_modules", name)}`]);
  writeFileSync(
    join(project, "package.json"),
    JSON.stringify({
      name: "first",
      private: true,
      type: "module",
      dependencies: { weftmesh: `file:${join(folder, packed)}`, ...Object.fromEntries(local) },
    }),
  );
  // From a folder npm would have them built, which are built already.
  npm(["install", "--offline", "--install-links", "--ignore-scripts"], project);

  // The generator's compiler is an optional peer; the project takes the one that is here.
  for (const name of ["buf", "protoc-gen-es", "protoplugin"])
    symlinkSync(
      join(root, "node_modules", "@bufbuild", name),
      join(project, "node_modules", "@bufbuild", name),
      "junction",
    );
  cpSync(join(root, "examples", "counter", "proto"), join(project, "proto"), { recursive: true });
  execFileSync(process.execPath, [join(project, "node_modules", "weftmesh", "dist", "cli", "main.js"), "gen"], {
    cwd: project,
    stdio: "pipe",
  });

  // Every entry is there, with its declarations.
  const { exports: entries } = JSON.parse(
    readFileSync(join(project, "node_modules", "weftmesh", "package.json"), "utf8"),
  );
  for (const { types, default: file } of Object.values(
    entries as Record<string, { types?: string; default?: string }>,
  )) {
    for (const path of [types, file]) {
      if (path !== undefined) assert.ok(existsSync(join(project, "node_modules", "weftmesh", path)), path);
    }
  }
  const simulation = `import { simulate } from "weftmesh/testing";
    const call = await simulate({ services: { a: {} } }).call("GET /", { service: "a" });
    console.log(call.status, call.durationMs);`;
  writeFileSync(join(project, "simulation.ts"), simulation);
  assert.equal(execFileSync(process.execPath, ["simulation.ts"], { cwd: project, encoding: "utf8" }).trim(), "200 10");

  for (const name of ["service.ts", "server.ts", "client.ts"]) writeFileSync(join(project, name), readmeFile(name));
  const server = spawn(process.execPath, ["server.ts"], {
    cwd: project,
    env: { ...process.env, PORT: "0" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const [line] = await once(server.stdout.setEncoding("utf8"), "data");
    const address = /127\.0\.0\.1:\d+/.exec(line as string)?.[0];
    assert.ok(address, `the server says where it listens: ${line}`);
    writeFileSync(join(project, "client.ts"), readmeFile("client.ts").replace("127.0.0.1:50051", address));
    const said = execFileSync(process.execPath, ["client.ts"], { cwd: project, encoding: "utf8", timeout: 20_000 });
    assert.match(said, /count is 42/);
  } finally {
    server.kill("SIGTERM");
    const [status] = await once(server, "exit");
    assert.equal(status, 0);
  }
});
