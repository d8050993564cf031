import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import test from "node:test";
import { createDirectClient } from "../../src/call/direct.ts";
import { Admin, Control } from "../../src/contract/gen/weft/control/v1/control.ts";
import { toWeftError, type WeftError } from "../../src/core/errors.ts";
import { eventually, registrationOf, World } from "./world.ts";

test("who floods the control plane with requests is told when to come again, and everybody else is served", async (t) => {
  const world = new World();
  t.after(() => world.close());
  const plane = await world.startInMemory({ limits: { adminRequestsPerSecond: 50 } });
  const { link, ids } = world.link();
  await link.register(registrationOf("orders"));
  await link.subscribe("orders");
  const flood = createDirectClient(Admin, plane.address);
  t.after(() => flood.close());
  let answered = 0;
  const errors: WeftError[] = [];
  const began = performance.now();
  for (let round = 0; round < 20; round++) {
    await Promise.all(
      Array.from({ length: 50 }, () =>
        flood.client.getStatus({}).then(
          () => answered++,
          (thrown) => errors.push(toWeftError(thrown)),
        ),
      ),
    );
  }
  const seconds = (performance.now() - began) / 1_000;
  // Those of two seconds at once, and what the limit allows from then on.
  assert.ok(answered >= 100 && answered <= 101 + 50 * seconds, `${answered} of 1,000 were answered in ${seconds} s`);
  for (const { code, reason, retryable } of errors)
    assert.deepEqual(
      { code, reason, retryable },
      { code: "resource_exhausted", reason: "TOO_MANY_REQUESTS", retryable: true },
    );
  const { response } = await refusedHead(plane.address);
  assert.equal(response, "429 1");
  // The line of a process is none of it.
  await link.register(registrationOf("orders", 2));
  await eventually(() => ids("orders").length === 2, "the second endpoint");
  await eventually(async () => {
    const status = await flood.client.getStatus({}).catch(() => null);
    return status !== null && Number(status.refusedRequests) >= errors.length;
  }, "an answer that says how many were refused");
});

/** Status and retry-after of REST, when it is refused. */
async function refusedHead(address: string): Promise<{ response: string }> {
  for (;;) {
    const answers = await Promise.all(Array.from({ length: 20 }, () => fetch(`http://${address}/v1/status`)));
    const refused = answers.find(({ status }) => status !== 200);
    if (refused !== undefined) return { response: `${refused.status} ${refused.headers.get("retry-after")}` };
  }
}

test("of one address so many processes attach in a second, and those that are refused come back by themselves", async (t) => {
  const world = new World();
  t.after(() => world.close());
  const plane = await world.startInMemory({ limits: { attachesPerSecond: 10 } });
  const control = createDirectClient(Control, plane.address);
  t.after(() => control.close());
  const first = async (n: number): Promise<string> => {
    const hello = { message: { case: "hello", value: { process: `p-${n}` } } } as const;
    const abort = new AbortController();
    try {
      for await (const { welcome } of control.client.attach([hello], { signal: abort.signal })) {
        abort.abort();
        return welcome === undefined ? "nothing" : "welcome";
      }
      return "ended";
    } catch (thrown) {
      return toWeftError(thrown).reason;
    }
  };
  const began = performance.now();
  const answers = await Promise.all(Array.from({ length: 60 }, (_, n) => first(n)));
  const seconds = Math.ceil((performance.now() - began) / 1_000);
  const welcomed = answers.filter((answer) => answer === "welcome").length;
  assert.ok(welcomed >= 20 && welcomed <= 20 + 10 * seconds, `${welcomed} were welcomed in ${seconds} s`);
  assert.equal(answers.filter((answer) => answer === "TOO_MANY_ATTACHES").length, 60 - welcomed);
  const { link } = world.link();
  await link.subscribe("*", 5_000);
});

test("of one address so many connections are taken, and one that ends makes room", async (t) => {
  const world = new World();
  t.after(() => world.close());
  const plane = await world.startInMemory({ limits: { maxConnectionsPerAddress: 5 } });
  const open: Socket[] = [];
  t.after(() => {
    for (const socket of open) socket.destroy();
  });
  const take = async (): Promise<Socket> => {
    const socket = connect(plane.port, "127.0.0.1");
    socket.on("error", () => {});
    open.push(socket);
    await once(socket, "connect");
    return socket;
  };
  for (let n = 0; n < 5; n++) await take();
  const over = await take();
  if (!over.destroyed) await once(over, "close");
  // Another address has room of its own.
  const other = connect({ port: plane.port, host: "127.0.0.1", localAddress: "127.0.0.2" });
  open.push(other);
  await once(other, "connect");
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(other.destroyed, false);
  open[0].destroy();
  await eventually(async () => {
    const socket = await take();
    await new Promise((resolve) => setTimeout(resolve, 20));
    return !socket.destroyed;
  }, "room");
});
