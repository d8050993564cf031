import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { systemClock } from "../core/clock.ts";
import { until } from "./harness.case.ts";
import { listenUdpSessions, type UdpClient, type UdpSessionListenOptions } from "./udp-session-listener.ts";

async function world(t: TestContext, options: Partial<UdpSessionListenOptions> = {}) {
  const clients: UdpClient[] = [];
  const heard: string[] = [];
  const listener = await listenUdpSessions({
    onSession(client) {
      clients.push(client);
      return {
        onDatagram: (bytes) => void heard.push(`${clients.indexOf(client)}:${bytes}`),
        cut: () => client.over(),
      };
    },
    ...options,
  });
  t.after(() => listener.close());
  const open = async (): Promise<Socket> => {
    const socket = createSocket("udp4");
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    t.after(() => socket.close());
    return socket;
  };
  const send = (socket: Socket, text: string): void => socket.send(text, listener.port, "127.0.0.1");
  return { listener, clients, heard, open, send };
}

test("what one address sends is one session, until it is over", async (t) => {
  const { listener, clients, heard, open, send } = await world(t);
  const [one, two] = [await open(), await open()];
  send(one, "a");
  send(one, "b");
  await until(() => heard.length === 2, "two datagrams");
  send(two, "c");
  await until(() => heard.length === 3, "three datagrams");
  assert.deepEqual(heard, ["0:a", "0:b", "1:c"]);
  clients[1].send(Buffer.from("answer"));
  assert.equal(String((await once(two, "message"))[0]), "answer");
  clients[0].over();
  clients[0].over();
  assert.equal(listener.sessions, 1);
  send(one, "d");
  await until(() => heard.length === 4, "four datagrams");
  assert.equal(heard[3], "2:d");
});

test("no more sessions than there is room for, and no more new ones a second than allowed", async (t) => {
  const full = await world(t, { maxSessions: 2 });
  for (let i = 0; i < 4; i++) full.send(await full.open(), "x");
  await until(() => full.listener.dropped === 2, "two dropped");
  assert.equal(full.listener.sessions, 2);

  let now = 0;
  const flooded = await world(t, { maxNewPerSecond: 3, clock: { ...systemClock, now: () => now } });
  for (let i = 0; i < 5; i++) flooded.send(await flooded.open(), "x");
  await until(() => flooded.listener.dropped === 2, "two dropped");
  now = 400;
  flooded.send(await flooded.open(), "x");
  await until(() => flooded.listener.sessions === 4, "one more");
});

test("a session that is refused at once takes no room; closing cuts those that are open", async (t) => {
  const refusing = await world(t, {
    onSession(client) {
      client.over();
      return { onDatagram: () => assert.fail("it was refused"), cut: () => {} };
    },
  });
  refusing.send(await refusing.open(), "x");
  const open = await world(t);
  open.send(await open.open(), "x");
  await until(() => open.listener.sessions === 1, "one session");
  await open.listener.drain(1);
  assert.equal(open.listener.sessions, 0);
  assert.equal(refusing.listener.sessions, 0);
});
