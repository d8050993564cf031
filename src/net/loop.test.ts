import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { type Clock, systemClock } from "../core/clock.ts";
import { Loop } from "./loop.ts";

test("after a pause of the process what came meanwhile is read before anybody is judged by the time", async (t) => {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as { port: number }).port, "127.0.0.1");
  const [peer] = (await once(server, "connection")) as [Socket];
  t.after(() => {
    socket.destroy();
    peer.destroy();
    server.close();
  });
  let now = 0;
  let fire = (): void => {};
  const clock: Clock = {
    ...systemClock,
    now: () => now,
    after(_ms, due) {
      fire = due;
      return () => {};
    },
  };
  const heard: string[] = [];
  socket.on("data", (bytes) => heard.push(String(bytes)));
  const loop = new Loop(clock);
  loop.add({ tick: (at) => heard.push(`tick ${at}`) });
  now = 1_000;
  fire();
  assert.deepEqual(heard, ["tick 1000"], "in time it is judged at once");
  // As timers do, before what came is looked for.
  setTimeout(() => {
    peer.write("answer");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    now = 31_000;
    fire();
  }, 0);
  while (heard.length < 3) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.deepEqual(heard.slice(1), ["answer", "tick 31000"]);
});
