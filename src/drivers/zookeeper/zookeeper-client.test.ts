import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { after, test } from "node:test";
import { systemClock } from "../../core/clock.ts";
import { WeftError } from "../../core/errors.ts";
import { JuteFrames, JuteWriter } from "./jute.ts";
import { ZookeeperClient } from "./zookeeper-client.ts";
import { parseZookeeperUrl } from "./zookeeper-url.ts";

const open: { close(): unknown }[] = [];
after(() => {
  for (const one of open) one.close();
});

test("what a server refuses is told, also when another one was not reached before", async () => {
  const server = createServer((socket) => {
    const frames = new JuteFrames(1_000_000);
    let greeted = false;
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      for (const _ of frames.take(bytes)) {
        if (!greeted) socket.write(session());
        greeted = true;
      }
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const told: (string | null)[] = [];
  const refusal = new WeftError("permission_denied", "no");
  const ignore = (): void => {};
  const client = new ZookeeperClient({
    target: parseZookeeperUrl(`zookeeper://127.0.0.1:1,127.0.0.1:${port}`),
    clock: systemClock,
    random: { next: () => 0.1 }, // begins at the first
    sessionTimeoutMs: 10_000,
    onConnection: () => Promise.reject(refusal),
    onWatch: ignore,
    onBeat: ignore,
    onChange: (lost) => told.push(lost?.code ?? null),
    closed: () => new WeftError("unavailable", "closed"),
  });
  open.push({ close: () => client.close(false) }, server);
  await assert.rejects(
    client.call(async () => {}),
    { code: "permission_denied" },
  );
  assert.deepEqual(told, ["unavailable", "permission_denied"]);
});

function session(): Buffer {
  return new JuteWriter().int(0).int(10_000).long(7n).buffer(new Uint8Array(16)).bool(false).frame();
}
