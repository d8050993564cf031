/**
 * Builds dist/ from src/: JavaScript with declarations, and `weft sidecar` in few files. The new tree replaces the old one only when all of it was made.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");
const fresh = join(root, `dist.${process.pid}`);
const require = createRequire(import.meta.url);
const tsc = join(dirname(require.resolve("typescript/package.json")), "bin", "tsc");

const built = spawnSync(process.execPath, [tsc, "-p", "tsconfig.build.json", "--outDir", fresh], {
  cwd: root,
  stdio: "inherit",
});
if (built.status !== 0) {
  rmSync(fresh, { recursive: true, force: true });
  process.exit(built.status ?? 1);
}
await bundleSidecar(join(fresh, "cli"));
rmSync(dist, { recursive: true, force: true });
renameSync(fresh, dist);
const bin = join(dist, "cli", "main.js");
if (existsSync(bin)) chmodSync(bin, 0o755);

/**
 * Puts what a sidecar loads into few files, in place of its entry: there is one beside each application, and each of 450 modules is some 10 KB of an idle
 * process. No code of users runs in it that could meet the same modules a second time. Where esbuild has no build for the machine, the modules stay as they are.
 *
 * The protobuf runtime is put in, too, which is loaded at every start: half of it describes what no sidecar knows, and is left out. With it, and without blanks, which would be kept
 * in memory with the code, 1.3 MB less. Names stay, as do lines that can be read in a stack trace. Other packages are found where they are installed: few sidecars load them.
 */
async function bundleSidecar(folder: string): Promise<void> {
  const { dependencies, peerDependencies } = require("../package.json") as Record<string, Record<string, string>>;
  const packages = Object.keys({ ...dependencies, ...peerDependencies });
  const esbuild = await import("esbuild").catch(() => null);
  const made = await esbuild
    ?.build({
      entryPoints: [join(folder, "run-sidecar.js")],
      outdir: folder,
      allowOverwrite: true,
      bundle: true,
      splitting: true,
      // Beside the entry: what is found by its place (the version) is found from there.
      chunkNames: "sidecar-[hash]",
      format: "esm",
      platform: "node",
      target: "node24",
      external: packages.filter((name) => name !== "@bufbuild/protobuf"),
      minifyWhitespace: true,
      minifySyntax: true,
      lineLimit: 160,
      legalComments: "none",
      metafile: true,
      absWorkingDir: root,
      logLevel: "error",
    })
    .catch((error: Error) => console.error(`weft sidecar is not bundled: ${error.message}`));
  if (made === undefined) return console.error("weft sidecar starts from its modules, and holds some MB more");
  writeFileSync(join(folder, "sidecar-licenses.txt"), licenses(Object.keys(made.metafile.inputs)));
}

/** What the packages among these files say of their authors and of what is allowed, at the head of each. */
function licenses(files: readonly string[]): string {
  const heads = files
    .filter((file) => file.includes("node_modules/"))
    .map((file) => /^(?:\/\/.*\n)*/.exec(readFileSync(join(root, file), "utf8"))?.[0] ?? "");
  return [...new Set(heads)].join("\n");
}
