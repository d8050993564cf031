import { spawn, spawnSync } from "node:child_process";
import { connect } from "node:net";
import { join } from "node:path";
import { freePort } from "./free-port.ts";
import type { Case, Suite } from "./suite.ts";

/** Shared limits against a real Redis server: the contract that every way of sharing limits is held to. */
export const redis: Suite = {
  name: "redis",
  async run() {
    const port = await freePort();
    const args = ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    const server = spawn("redis-server", args, { stdio: ["ignore", "pipe", "ignore"] });
    let said = "";
    server.stdout.setEncoding("utf8").on("data", (text) => {
      said = `${said}${text}`.slice(-1_000);
    });
    server.on("error", (error) => {
      said = `${error.message} (Debian: apt-get install redis-server)`;
    });
    try {
      if (!(await reachable(port))) throw new Error(`redis-server does not start: ${said}`);
      return await cases(join(import.meta.dirname, "redis", "shared-limits.test.ts"), `redis://127.0.0.1:${port}`);
    } finally {
      server.kill();
    }
  },
};

async function reachable(port: number): Promise<boolean> {
  for (const end = performance.now() + 20_000; performance.now() < end; ) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1", () => {
        socket.destroy();
        resolve(true);
      });
      socket.on("error", () => resolve(false));
    });
    if (open) return true;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return false;
}

function cases(file: string, url: string): Case[] {
  const node = ["-C", "weft-source", "--test", "--test-reporter=tap", file];
  const { stdout } = spawnSync(process.execPath, node, {
    encoding: "utf8",
    env: { ...process.env, WEFT_TEST_REDIS: url },
  });
  return Array.from(stdout.matchAll(/^(not ok|ok) \d+ - (.*)$/gm), ([, verdict, name]) => ({
    name,
    ok: verdict === "ok",
  }));
}
