import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { test } from "node:test";
import { connect } from "node:tls";
import fc from "fast-check";
import { WeftError } from "../../core/errors.ts";
import { type ClientHello, ClientHelloReader } from "./client-hello.ts";

/** What a real client sends first. */
async function sentBy(options: { servername?: string; ALPNProtocols?: string[] }): Promise<Buffer> {
  return new Promise((resolve) => {
    const server = createServer((socket: Socket) => {
      socket.once("data", (bytes) => {
        socket.destroy();
        server.close();
        resolve(bytes);
      });
    });
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      connect({ host: "127.0.0.1", port, ...options }).on("error", () => {});
    });
  });
}

function read(bytes: Uint8Array, chunk = bytes.length): ClientHello | null {
  const reader = new ClientHelloReader();
  for (let at = 0; at < bytes.length; at += chunk) {
    const hello = reader.feed(bytes, at, Math.min(bytes.length, at + chunk));
    if (hello !== null) {
      assert.deepEqual(Buffer.from(reader.bytes), Buffer.from(bytes.subarray(0, Math.min(bytes.length, at + chunk))));
      return hello;
    }
  }
  return null;
}

/** The same message in records of at most `size` bytes. */
function inRecords(bytes: Buffer, size: number): Buffer {
  const message = bytes.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size);
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part);
  }
  return Buffer.concat(records);
}

const hello = await sentBy({ servername: "Shop.Example", ALPNProtocols: ["h2", "http/1.1"] });

test("T1 name and protocols of a real client's hello, however it is cut", () => {
  const expected = { serverName: "shop.example", alpn: ["h2", "http/1.1"] };
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 700 }), fc.integer({ min: 1, max: 700 }), (chunk, record) => {
      assert.deepEqual(read(inRecords(hello, record), chunk), expected);
    }),
  );
});

test("a hello without a name", async () => {
  assert.deepEqual(read(await sentBy({})), { serverName: "", alpn: [] });
});

test("what is cut off is not complete", () => {
  assert.equal(read(hello.subarray(0, hello.length - 1)), null);
});

test("T3 bytes changed anywhere are read as another hello or refused", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(hello.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 1, max: 300 }),
      (changes, chunk) => {
        const bytes = Buffer.from(hello);
        for (const [at, value] of changes) bytes[at] = value;
        try {
          read(bytes, chunk);
        } catch (error) {
          assert.ok(error instanceof WeftError, String(error));
        }
      },
    ),
    { numRuns: 500 },
  );
});

test("what is no TLS is refused at its first byte", () => {
  assert.throws(() => read(Buffer.from("G")), /does not begin with a handshake/);
  assert.throws(() => read(Buffer.from([22, 2])), /version/);
  assert.throws(() => read(Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0])), /first message/);
});

test("T2 no more is held than a hello may have", () => {
  assert.throws(() => read(Buffer.from([22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff])), /longer than/);
  const drip = Buffer.concat(Array.from({ length: 9_000 }, (_, i) => Buffer.from([22, 3, 1, 0, 1, i === 0 ? 1 : 0])));
  // The message's length says 0: what follows it is not waited for.
  assert.throws(() => read(drip.subarray(0, 24)), WeftError);
  const long = Buffer.from(drip);
  long[2 * 6 + 5] = 0x70; // 0x7000 bytes, a byte a record
  assert.throws(() => read(long), /longer than/);
});
