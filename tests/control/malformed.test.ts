import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import type { AckSchema, AttachRequestSchema, AttachResponse } from "../../src/contract/gen/weft/control/v1/control.ts";
import type { MessageInitShape, MessageShape } from "../../src/contract/runtime.ts";
import { seededRandom } from "../../src/core/random.ts";
import { eventually, registrationOf, World } from "./world.ts";

type Up = MessageInitShape<typeof AttachRequestSchema>;
type Ack = MessageShape<typeof AckSchema>;

const HELLO: Up = { message: { case: "hello", value: { process: "raw" } } };

/** A stream that says exactly these messages; `acks` are the answers to those with a request id. */
function raw(
  world: World,
  messages: Up[],
): { acks: Map<number, Ack>; received: AttachResponse[]; ended: Promise<unknown>; end: () => void } {
  const acks = new Map<number, Ack>();
  const received: AttachResponse[] = [];
  const abort = new AbortController();
  const stream = world.control().attach(
    (async function* () {
      yield* messages;
      await new Promise<void>((resolve) => abort.signal.addEventListener("abort", () => resolve()));
    })(),
    { signal: abort.signal },
  );
  const ended = (async () => {
    for await (const message of stream) {
      received.push(message);
      for (const ack of message.acks) acks.set(Number(ack.requestId), ack);
    }
    return null;
  })().catch((thrown) => thrown);
  world.onClose(async () => abort.abort());
  return { acks, received, ended, end: () => abort.abort() };
}

function register(requestId: bigint, part: Record<string, unknown>): Up {
  const { endpoint } = registrationOf("alpha");
  return { message: { case: "register", value: { requestId, endpoint: { ...endpoint, protocol: 1, ...part } } } };
}

test("what a process asks wrongly is refused with code, reason and field, and the line stays", async () => {
  const world = new World();
  try {
    await world.startInMemory({ limits: { maxSubscriptions: 3, maxContracts: 2 } });
    const names = (...list: string[]) => list.map((name) => ({ name, knownVersion: 0n }));
    const { acks } = raw(world, [
      HELLO,
      register(1n, { service: "UPPER" }),
      register(2n, { port: 0 }),
      register(3n, { host: "a b" }),
      register(4n, { weight: -1 }),
      register(5n, { metadata: { "bad name": "x" } }),
      { message: { case: "register", value: { requestId: 6n } } },
      { message: { case: "subscribe", value: { requestId: 7n, services: names("ok", "no good") } } },
      { message: { case: "subscribe", value: { requestId: 8n, services: names("a", "b", "c", "d") } } },
      { message: { case: "setHealth", value: { requestId: 9n, id: "somebody-elses", health: 2 } } },
      { message: { case: "release", value: { requestId: 10n, id: "nobody" } } },
      {
        message: {
          case: "register",
          value: {
            requestId: 11n,
            endpoint: { ...registrationOf("alpha").endpoint, protocol: 1 },
            contracts: ["a.A", "b.B", "c.C"],
          },
        },
      },
      {
        message: {
          case: "register",
          value: { requestId: 12n, endpoint: { ...registrationOf("alpha").endpoint, protocol: 1 }, ttlMs: 5 },
        },
      },
      { message: { case: undefined } },
      { message: { case: "load", value: { endpoints: [{ id: "nobody", inFlight: 1 }] } } },
      register(20n, {}),
    ]);
    await eventually(() => acks.has(20), "the last answer");
    const answers = Object.fromEntries([...acks].map(([id, { code, reason, field }]) => [id, [code, reason, field]]));
    const INVALID = "INVALID_ENDPOINT";
    assert.deepEqual(answers, {
      1: [3, INVALID, "service"],
      2: [3, INVALID, "port"],
      3: [3, INVALID, "host"],
      4: [3, INVALID, "weight"],
      5: [3, INVALID, "metadata"],
      6: [3, "INVALID_ARGUMENT", "endpoint"],
      7: [3, INVALID, "services"],
      8: [8, "TOO_MANY_SUBSCRIPTIONS", ""],
      9: [9, "NOT_OWNER", ""],
      10: [0, "", ""],
      11: [8, "TOO_MANY_CONTRACTS", ""],
      12: [3, INVALID, "ttlMs"],
      20: [0, "", ""],
    });
  } finally {
    await world.close();
  }
});

test("a stream that does not begin with hello, or says it twice or too long, is ended with a reason", async () => {
  const world = new World();
  try {
    await world.startInMemory();
    const reasonOf = async (messages: Up[]) => ((await raw(world, messages).ended) as { reason?: string })?.reason;
    assert.equal(await reasonOf([{ message: { case: "heartbeat", value: {} } }]), "NO_HELLO");
    assert.equal(await reasonOf([HELLO, HELLO]), "SECOND_HELLO");
    assert.equal(await reasonOf([{ message: { case: "hello", value: { process: "x".repeat(300) } } }]), "BAD_HELLO");
    const { processes } = await world.admin().listProcesses({});
    assert.deepEqual(processes, []);
  } finally {
    await world.close();
  }
  const impatient = new World();
  try {
    await impatient.startInMemory({ limits: { helloTimeoutMs: 50 } });
    const ended = (await raw(impatient, []).ended) as { reason?: string };
    assert.equal(ended?.reason, "NO_HELLO");
    assert.deepEqual((await impatient.admin().listProcesses({})).processes, []);
  } finally {
    await impatient.close();
  }
});

test("a message above the limit is refused as exhausted", async () => {
  const world = new World();
  try {
    await world.startInMemory({ limits: { maxRequestBytes: 10_000 } });
    const big: Up = { message: { case: "register", value: { requestId: 1n, descriptors: new Uint8Array(20_000) } } };
    assert.equal(((await raw(world, [HELLO, big]).ended) as { code?: string })?.code, "resource_exhausted");
  } finally {
    await world.close();
  }
});

test("more processes than allowed are refused, and a place that becomes free is given again", async () => {
  const world = new World();
  try {
    await world.startInMemory({ limits: { maxProcesses: 1 } });
    const first = raw(world, [HELLO]);
    await eventually(() => first.received.length > 0, "the welcome");
    assert.equal(((await raw(world, [HELLO]).ended) as { reason?: string })?.reason, "TOO_MANY_PROCESSES");
    first.end();
    await first.ended;
    await eventually(async () => {
      const next = raw(world, [HELLO]);
      await Promise.race([next.ended, eventually(() => next.received.length > 0, "a welcome").catch(() => {})]);
      return next.received.length > 0;
    }, "the free place");
  } finally {
    await world.close();
  }
});

test("random bytes at the port do no harm", async () => {
  const world = new World();
  try {
    const { port } = await world.startInMemory();
    const random = seededRandom(5);
    for (let i = 0; i < 30; i++) {
      const bytes = Buffer.from(
        Array.from({ length: 1 + Math.floor(random.next() * 500) }, () => Math.floor(random.next() * 256)),
      );
      const preface = i % 2 === 0 ? Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") : Buffer.alloc(0);
      const socket = connect(port, "127.0.0.1");
      socket.on("error", () => {});
      socket.end(Buffer.concat([preface, bytes]));
      socket.resume();
      await new Promise((resolve) => socket.once("close", resolve));
    }
    assert.equal((await world.admin().getStatus({})).processes, 0);
  } finally {
    await world.close();
  }
});
