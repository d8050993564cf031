import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { withProcess } from "../counter.ts";
import { freePort } from "../free-port.ts";
import type { Case, Suite } from "../suite.ts";
import { tool } from "../tools.ts";
import { runInteropClient } from "./client.ts";

/** gRPC's interop cases that both suites run. Source: gRPC, interop-test-descriptions.md. */
const CASES = [
  "empty_unary",
  "large_unary",
  "client_streaming",
  "server_streaming",
  "ping_pong",
  "empty_stream",
  "cancel_after_begin",
  "cancel_after_first_response",
  "timeout_on_sleeping_server",
  "custom_metadata",
  "status_code_and_message",
  "special_status_message",
  "unimplemented_method",
  "unimplemented_service",
];

/** grpc-go's interop client against our implementation of the test service. */
export const interopServer: Suite = {
  name: "interop-server",
  tools: ["grpc-interop-client"],
  run: async () =>
    withProcess([join(import.meta.dirname, "server.ts")], { PORT: `${await freePort()}` }, async (port) => {
      const cases: Case[] = [];
      for (const name of CASES) cases.push(await goClient(port, name));
      return cases;
    }),
};

function goClient(port: number, name: string): Promise<Case> {
  const args = ["-server_host=127.0.0.1", `-server_port=${port}`, "-use_tls=false", `-test_case=${name}`];
  return new Promise((resolve) => {
    execFile(tool("grpc-interop-client"), args, { timeout: 30_000 }, (error, stdout, stderr) =>
      resolve({ name, ok: error === null, detail: (stdout + stderr).trim().slice(-400) }),
    );
  });
}

/** Our client against grpc-go's interop server. */
export const interopClient: Suite = {
  name: "interop-client",
  tools: ["grpc-interop-server"],
  async run() {
    const port = await freePort();
    const server = spawn(tool("grpc-interop-server"), [`-port=${port}`, "-use_tls=false"], { stdio: "ignore" });
    try {
      await listening(port);
      const results = await runInteropClient(port);
      const missing = CASES.filter((name) => !results.some((result) => result.name === name));
      return [
        ...results.map(({ name, ok, error }) => ({ name, ok, detail: error })),
        ...missing.map((name) => ({ name, ok: false, detail: "did not run" })),
      ];
    } finally {
      server.kill("SIGKILL");
    }
  },
};

async function listening(port: number): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const socket = connect(port, "127.0.0.1");
    const open = await Promise.race([
      once(socket, "connect").then(() => true),
      once(socket, "error").then(() => false),
    ]).catch(() => false);
    socket.destroy();
    if (open) return;
    await sleep(50);
  }
  throw new Error(`nothing listens on ${port}`);
}
