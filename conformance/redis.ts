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
    const server = spawn("redis-server", args, { stdio: "ignore" });
    server.on("error", () => {}); // told by reachable
    try {
      await reachable(port);
      return await cases(join(import.meta.dirname, "redis", "shared-limits.test.ts"), `redis://127.0.0.1:${port}`);
    } finally {
      server.kill();
    }
  },
};

async function reachable(port: number): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1", () => {
        socket.destroy();
        resolve(true);
      });
      socket.on("error", () => resolve(false));
    });
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("redis-server does not start (Debian: apt-get install redis-server)");
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
