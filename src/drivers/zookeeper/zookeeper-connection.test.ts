import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { afterEach, test } from "node:test";
import { VirtualClock } from "../../core/clock.ts";
import { WeftError } from "../../core/errors.ts";
import { JuteFrames, JuteReader, JuteWriter } from "./jute.ts";
import { ZookeeperConnection } from "./zookeeper-connection.ts";
import type { WatchEvent } from "./zookeeper-messages.ts";

/** What no ZooKeeper does: a peer that answers as it is told to. */
class Peer {
  readonly asked: { xid: number; op: number; reader: JuteReader }[] = [];
  readonly server: Server;
  socket: Socket | null = null;
  /** What is said to who connects; null: nothing. */
  greeting: Buffer | null = connected();
  onAsked: (xid: number, op: number, reader: JuteReader) => void = () => {};

  constructor() {
    this.server = createServer((socket) => {
      this.socket = socket;
      const frames = new JuteFrames(1_000_000);
      let greeted = false;
      socket.on("error", () => {});
      socket.on("data", (bytes) => {
        for (const frame of frames.take(bytes)) {
          if (!greeted) {
            greeted = true;
            if (this.greeting !== null) socket.write(this.greeting);
            continue;
          }
          const reader = new JuteReader(frame);
          this.onAsked(reader.int(), reader.int(), reader);
        }
      });
    });
  }

  say(...frames: Buffer[]): void {
    this.socket?.write(Buffer.concat(frames));
  }
}

const open: { close(): void }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) one.close();
});

function connected(readOnly = false): Buffer {
  return new JuteWriter().int(0).int(10_000).long(7n).buffer(new Uint8Array(16)).bool(readOnly).frame();
}

function reply(xid: number, error = 0): JuteWriter {
  return new JuteWriter().int(xid).long(9n).int(error);
}

async function meet(
  arrange: (peer: Peer) => void = () => {},
  login: { name: string; password: string } | null = null,
): Promise<{
  peer: Peer;
  clock: VirtualClock;
  connection: ZookeeperConnection;
  ended: WeftError[];
  events: WatchEvent[];
}> {
  const peer = new Peer();
  arrange(peer);
  peer.server.listen(0, "127.0.0.1");
  await once(peer.server, "listening");
  const { port } = peer.server.address() as { port: number };
  const clock = new VirtualClock();
  const ended: WeftError[] = [];
  const events: WatchEvent[] = [];
  const connection = new ZookeeperConnection({
    address: `127.0.0.1:${port}`,
    login,
    tls: null,
    clock,
    onWatch: (event) => events.push(event),
    onBeat: () => {},
    onEnd: (failure) => ended.push(failure),
  });
  open.push(connection, { close: () => peer.socket?.destroy() }, { close: () => peer.server.close() });
  return { peer, clock, connection, ended, events };
}

const TICKET = { id: 0n, password: new Uint8Array(16) };

test("answers come to whom they are for, in order, and what a watch tells between them", async () => {
  const { peer, connection, events } = await meet((peer) => {
    peer.onAsked = (xid, op) => {
      if (op !== 8) return;
      const event = new JuteWriter().int(-1).long(-1n).int(0).int(3).int(3).text("/a").frame();
      peer.say(event, reply(xid).int(1).text(`child ${xid}`).frame());
    };
  });
  const { ticket } = (await connection.open(TICKET, 5_000)) ?? assert.fail("no session");
  assert.equal(ticket.id, 7n);
  assert.deepEqual(await Promise.all([connection.children("/a"), connection.children("/b")]), [
    ["child 1"],
    ["child 2"],
  ]);
  assert.deepEqual(events, [
    { kind: "changed", path: "/a" },
    { kind: "changed", path: "/a" },
  ]);
  assert.ok(peer.socket !== null);
});

const bad: Record<string, (peer: Peer) => void> = {
  "an answer to something else": (peer) => {
    peer.onAsked = (xid) => peer.say(reply(xid + 5).frame());
  },
  "an answer that nobody asked for": (peer) => {
    peer.onAsked = (xid) => peer.say(reply(xid).int(0).frame(), reply(xid).frame());
  },
  "an answer that is cut off": (peer) => {
    peer.onAsked = (xid) => peer.say(reply(xid).int(3).text("a").frame());
  },
  "a list longer than its frame": (peer) => {
    peer.onAsked = (xid) => peer.say(reply(xid).int(0x7fff_ffff).frame());
  },
  "a frame of two gigabytes": (peer) => {
    peer.onAsked = () => peer.say(Buffer.of(0x7f, 0xff, 0xff, 0xff, 0));
  },
  "another protocol": (peer) => {
    peer.onAsked = () => peer.say(Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"));
  },
};
for (const [what, arrange] of Object.entries(bad)) {
  test(`${what} ends the connection, and everybody who waits is told`, async () => {
    const { connection, ended } = await meet(arrange);
    await connection.open(TICKET, 5_000);
    const waiting = await Promise.allSettled([connection.children("/a"), connection.children("/b")]);
    // What was answered before may be well.
    const failures = waiting.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
    assert.ok(failures.length > 0);
    for (const failure of failures) {
      assert.ok(failure instanceof WeftError && failure.code === "unavailable", String(failure));
      assert.match(failure.message, /no answer of ZooKeeper's/);
    }
    assert.equal(ended.length, 1);
    await assert.rejects(connection.children("/c"), { code: "unavailable" });
  });
}

test("a server that greets with something else, or only reads, is refused", async () => {
  const greetings: [Buffer, RegExp][] = [
    [Buffer.from("SSH-2.0-OpenSSH_9.2\r\n"), /no answer of ZooKeeper's/],
    [new JuteWriter().int(0).frame(), /no answer of ZooKeeper's/],
    [connected(true), /only reads/],
  ];
  for (const [greeting, why] of greetings) {
    const { connection } = await meet((peer) => {
      peer.greeting = greeting;
    });
    await assert.rejects(connection.open(TICKET, 5_000), (error: WeftError) => {
      assert.equal(error.code, "unavailable");
      assert.match(error.message, why);
      return true;
    });
  }
});

test("a session that is over is said so, and is no failure", async () => {
  const { connection, ended } = await meet((peer) => {
    peer.greeting = new JuteWriter().int(0).int(0).long(0n).buffer(new Uint8Array(16)).bool(false).frame();
  });
  assert.equal(await connection.open({ id: 5n, password: new Uint8Array(16) }, 5_000), null);
  assert.deepEqual(ended, []);
});

test("a server that takes the connection and says nothing is left after 2.5 s", async () => {
  const { peer, connection, clock } = await meet((peer) => {
    peer.greeting = null;
  });
  const opening = connection.open(TICKET, 5_000);
  opening.catch(() => {});
  await once(peer.server, "connection");
  while (peer.socket?.bytesRead === 0) await new Promise((resolve) => setImmediate(resolve));
  clock.advance(2_600);
  await assert.rejects(opening, /gets no answer/);
});

test("silence is noticed, and what was changed meanwhile is of unknown outcome", async () => {
  const { peer, connection, clock, ended } = await meet();
  await connection.open(TICKET, 5_000);
  const read = connection.get("/a");
  const change = connection.change({ op: "delete", path: "/a", version: -1 });
  const outcomes = Promise.allSettled([read, change]);
  clock.advance(500);
  assert.deepEqual(ended, []);
  clock.advance(3_100);
  assert.match(String(ended.at(-1)), /silent for/);
  const [one, other] = await outcomes;
  assert.ok(one.status === "rejected" && one.reason.retryable && one.reason.reason === "ZOOKEEPER_LOST");
  assert.ok(other.status === "rejected" && !other.reason.retryable && other.reason.reason === "OUTCOME_UNKNOWN");
  assert.ok(peer.socket !== null);
});

test("a login that is refused is said to be, without its password", async () => {
  const arrange = (peer: Peer) => {
    peer.onAsked = (xid) => peer.say(reply(xid, -115).frame());
  };
  const { connection } = await meet(arrange, { name: "me", password: "s3cret" });
  await assert.rejects(connection.open(TICKET, 5_000), (error: WeftError) => {
    assert.equal(error.code, "unauthenticated");
    assert.doesNotMatch(error.message, /s3cret/);
    return true;
  });
});

test("of a transaction that is refused the part is told, and rights that are missing are an error", async () => {
  const header = (writer: JuteWriter, type: number, done = false) => writer.int(type).bool(done).int(-1);
  let code = -103;
  const { connection } = await meet((peer) => {
    peer.onAsked = (xid) => {
      const writer = reply(xid);
      header(writer, -1).int(0);
      header(writer, -1).int(code);
      peer.say(header(writer, -1, true).frame());
    };
  });
  await connection.open(TICKET, 5_000);
  const change = { op: "delete" as const, path: "/a", version: -1 };
  assert.deepEqual(await connection.change(change, { ...change, path: "/b" }), { zxid: null, index: 1, code: -103 });
  code = -102;
  await assert.rejects(connection.change(change, { ...change, path: "/b" }), {
    code: "permission_denied",
    message: /to change \/b/,
  });
});
