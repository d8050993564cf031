import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { test } from "node:test";
import { HurtLine } from "./hurt-line.ts";
import { wait } from "./registry-plane.ts";

test("what is sent over a line that has become faster does not overtake what is on its way", async () => {
  let heard = "";
  const server = createServer((socket) => socket.setEncoding("utf8").on("data", (text) => (heard += text)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const line = await HurtLine.open((server.address() as { port: number }).port);
  const socket = connect(line.port, "127.0.0.1");
  await once(socket, "connect");
  for (const [text, delayMs] of [
    ["a", 0],
    ["b", 300],
    ["c", 100],
    ["d", 0],
    ["e", 200],
  ] as const) {
    line.delayMs = delayMs;
    socket.write(text);
    await wait(20);
  }
  while (heard.length < 5) await wait(5);
  assert.equal(heard, "abcde");
  await line.close();
  server.close();
});
