/**
 * Builds dist/ from src/: JavaScript with declarations, and `weft sidecar` in few files. The new tree replaces the old one only when all of it was made.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, renameSync, rmSync } from "node:fs";
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
 */
async function bundleSidecar(folder: string): Promise<void> {
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
      packages: "external",
      legalComments: "none",
      logLevel: "error",
    })
    .catch((error: Error) => console.error(`weft sidecar is not bundled: ${error.message}`));
  if (made === undefined) console.error("weft sidecar starts from its modules, and holds some MB more");
}
