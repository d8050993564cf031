// nginx at PORT, which answers by itself.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { which } from "../lib/process.ts";
import { nginxConfig } from "../peers/nginx.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-bench-"));
const file = join(folder, "nginx.conf");
writeFileSync(file, nginxConfig({ listen: Number(process.env.PORT), folder, backends: [] }));
const nginx = spawn(which("nginx") ?? "nginx", ["-c", file], { stdio: "inherit" });
process.on("SIGTERM", () => nginx.kill());
nginx.on("exit", (code) => {
  rmSync(folder, { recursive: true, force: true });
  process.exit(code ?? 0);
});
