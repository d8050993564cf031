import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import {
  ChatRequestSchema,
  ChatResponseSchema,
  Counter,
  CountRequestSchema,
  CountResponseSchema,
  SumRequestSchema,
  SumResponseSchema,
  WatchResponseSchema,
} from "../../examples/counter/gen/counter/v1/counter.ts";
import { codecOf } from "../contract/codec.ts";
import { trailersOfError } from "../contract/status.ts";
import { WeftError } from "../core/errors.ts";
import { fieldOf } from "../core/fields.ts";
import type { Decision } from "../policy/call.ts";
import { trailersHead } from "../wire/head.ts";
import type { ClientInterceptor } from "./client-types.ts";
import { createDirectClient } from "./direct.ts";
import { startWireServer, type WireCall } from "./loopback.case.ts";
import type { Metadata } from "./metadata.ts";

const COUNT = "/counter.v1.Counter/Count";
const WATCH = "/counter.v1.Counter/Watch";
const SUM = "/counter.v1.Counter/Sum";

/** The counter, in wire terms. */
function counter(call: WireCall): void {
  const messages: Uint8Array[] = [];
  call.onMessage = (bytes) => messages.push(bytes);
  if (call.head.path === COUNT) {
    call.onEnd = () => {
      const { count } = codecOf(CountRequestSchema).decode(messages[0], 0, messages[0].length);
      call.reply(codecOf(CountResponseSchema).encode({ count: count + 1n }));
    };
  } else if (call.head.path === WATCH) {
    call.onEnd = () => {
      call.sendHead();
      for (let count = 1n; count <= 3n; count++) call.sendMessage(codecOf(WatchResponseSchema).encode({ count }));
      call.sendStatus(0);
    };
  } else if (call.head.path === SUM) {
    call.onEnd = () => {
      let sum = 0n;
      for (const bytes of messages) sum += codecOf(SumRequestSchema).decode(bytes, 0, bytes.length).count;
      call.reply(codecOf(SumResponseSchema).encode({ sum }));
    };
  } else {
    call.sendHead();
    call.onMessage = (bytes) => {
      const { text } = codecOf(ChatRequestSchema).decode(bytes, 0, bytes.length);
      call.sendMessage(codecOf(ChatResponseSchema).encode({ text: text.toUpperCase() }));
    };
    call.onEnd = () => call.sendStatus(0);
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

function rejectsWith(
  answer: Promise<unknown>,
  expected: { code: string; reason?: string; message?: RegExp },
): Promise<void> {
  return assert.rejects(answer, (error: unknown) => {
    assert.ok(error instanceof WeftError, String(error));
    assert.equal(error.code, expected.code, error.message);
    if (expected.reason !== undefined) assert.equal(error.reason, expected.reason);
    if (expected.message !== undefined) assert.match(error.message, expected.message);
    return true;
  });
}

test("all four kinds of methods go through a real connection", async () => {
  await using server = await startWireServer(counter);
  await using direct = createDirectClient(Counter, server.address);
  const { client } = direct;
  assert.equal((await client.count({ count: 41n })).count, 42n);
  const seen: bigint[] = [];
  for await (const { count } of client.watch({})) seen.push(count);
  assert.deepEqual(seen, [1n, 2n, 3n]);
  assert.equal((await client.sum([{ count: 1n }, { count: 2n }, { count: 39n }])).sum, 42n);
  const texts: string[] = [];
  async function* questions() {
    yield { text: "a" };
    yield { text: "b" };
  }
  for await (const { text } of client.chat(questions())) texts.push(text);
  assert.deepEqual(texts, ["A", "B"]);
  assert.equal(direct.carrier.inFlight, 0);
  assert.equal(server.heads.length, 4);
});

test("many unary calls share a connection and each gets its own answer", async () => {
  await using server = await startWireServer(counter);
  await using direct = createDirectClient(Counter, server.address);
  const answers = await Promise.all(Array.from({ length: 300 }, (_, i) => direct.client.count({ count: BigInt(i) })));
  assert.deepEqual(
    answers.map(({ count }) => count),
    Array.from({ length: 300 }, (_, i) => BigInt(i + 1)),
  );
});

test("a failed call rejects with the server's code, message, reason, details and metadata", async () => {
  const sent = new WeftError("failed_precondition", "no such thing: ünder", {
    reason: "NO_SUCH_THING",
    retryable: true,
    metadata: [["x-why", "because"]],
  });
  await using server = await startWireServer((call) => {
    call.onEnd = () => {
      call.sendHead();
      call.stream.sendTrailers(trailersHead(trailersOfError(sent)), null);
    };
  });
  await using direct = createDirectClient(Counter, server.address);
  await assert.rejects(direct.client.count({}), (error: unknown) => {
    assert.ok(error instanceof WeftError);
    assert.deepEqual(
      [error.code, error.message, error.reason, error.retryable],
      ["failed_precondition", sent.message, "NO_SUCH_THING", true],
    );
    assert.deepEqual(error.metadata, [["x-why", "because"]]);
    return true;
  });
});

test("a trailers-only answer is an error of its own for unary calls and streams", async () => {
  await using server = await startWireServer((call) => call.fail(5, "gone"));
  await using direct = createDirectClient(Counter, server.address);
  await rejectsWith(direct.client.count({}), { code: "not_found", message: /^gone$/ });
  await rejectsWith(direct.client.watch({}).next(), { code: "not_found" });
  await rejectsWith(direct.client.sum([]), { code: "not_found" });
});

test("an answer that is not gRPC gets the code of its HTTP status", async () => {
  await using server = await startWireServer((call) => call.answer(403, "no", ["content-type", "text/plain"]));
  await using direct = createDirectClient(Counter, server.address);
  await rejectsWith(direct.client.count({}), {
    code: "permission_denied",
    reason: "NOT_GRPC",
    message: /403.*text\/plain/,
  });
});

test("metadata travels both ways, bytes too, and the protocol's own names are refused", async () => {
  await using server = await startWireServer((call) => {
    call.onEnd = () => {
      call.sendHead(["x-head", "h"]);
      call.sendMessage(codecOf(CountResponseSchema).encode({}));
      call.sendStatus(0, ["x-trail-bin", "AQI"]);
    };
  });
  await using direct = createDirectClient(Counter, server.address);
  let head: Metadata | undefined;
  let trail: Metadata | undefined;
  await direct.client.count(
    {},
    {
      metadata: { "X-Tenant": "acme", "x-raw-bin": Uint8Array.of(255, 0) },
      onHeader: (headers) => {
        head = headers;
      },
      onTrailer: (trailers) => {
        trail = trailers;
      },
    },
  );
  assert.equal(fieldOf(server.heads[0].fields, "x-tenant"), "acme");
  assert.equal(fieldOf(server.heads[0].fields, "x-raw-bin"), "/wA");
  assert.equal(head?.get("x-head"), "h");
  assert.deepEqual(trail?.getBinary("x-trail-bin"), [Uint8Array.of(1, 2)]);
  await rejectsWith(direct.client.count({}, { metadata: { "grpc-timeout": "1S" } }), {
    code: "invalid_argument",
    reason: "BAD_METADATA",
  });
});

test("a deadline travels as grpc-timeout and ends the call locally, cancelling it at the server", async () => {
  const gone = Promise.withResolvers<void>();
  await using server = await startWireServer((call) => {
    if (call.head.path === WATCH) call.fail(0);
    else call.onCancelled = () => gone.resolve();
  });
  await using direct = createDirectClient(Counter, server.address);
  assert.equal((await direct.client.watch({}).next()).done, true, "connected");
  await rejectsWith(direct.client.count({}, { timeoutMs: 60 }), { code: "deadline_exceeded" });
  await gone.promise;
  const told = fieldOf(server.heads[1].fields, "grpc-timeout") ?? "";
  assert.match(told, /^\d+u$/);
  assert.ok(Number.parseInt(told, 10) <= 60_000 && Number.parseInt(told, 10) > 1_000, told);
});

test("an aborted signal cancels the call at the server, once; before the call nothing is sent", async () => {
  const gone = Promise.withResolvers<void>();
  await using server = await startWireServer((call) => {
    call.onCancelled = () => gone.resolve();
  });
  await using direct = createDirectClient(Counter, server.address);
  const controller = new AbortController();
  const answer = direct.client.count({}, { signal: controller.signal });
  await until(() => server.heads.length > 0);
  controller.abort();
  await rejectsWith(answer, { code: "cancelled" });
  await gone.promise;
  await rejectsWith(direct.client.count({}, { signal: controller.signal }), { code: "cancelled" });
  await rejectsWith(direct.client.watch({}, { signal: controller.signal }).next(), { code: "cancelled" });
  assert.equal(server.heads.length, 1);
});

test("leaving a response stream early cancels the call", async () => {
  const gone = Promise.withResolvers<void>();
  await using server = await startWireServer((call) => {
    call.onCancelled = () => gone.resolve();
    call.onEnd = () => {
      call.sendHead();
      for (let count = 1n; count <= 3n; count++) call.sendMessage(codecOf(WatchResponseSchema).encode({ count }));
    };
  });
  await using direct = createDirectClient(Counter, server.address);
  for await (const { count } of direct.client.watch({})) {
    assert.equal(count, 1n);
    break;
  }
  await gone.promise;
  assert.equal(direct.carrier.inFlight, 0);
});

test("messages that came before a failure are delivered before it", async () => {
  await using server = await startWireServer((call) => {
    call.onEnd = () => {
      call.sendHead();
      call.sendMessage(codecOf(WatchResponseSchema).encode({ count: 1n }));
      call.sendStatus(14, ["grpc-message", "later"]);
    };
  });
  await using direct = createDirectClient(Counter, server.address);
  const stream = direct.client.watch({});
  assert.deepEqual((await stream.next()).value?.count, 1n);
  await rejectsWith(stream.next(), { code: "unavailable", message: /later/ });
  assert.equal((await stream.next()).done, true);
});

test("a connection that is cut in the middle of a response rejects as unavailable", async () => {
  await using server = await startWireServer((call) => {
    call.onEnd = () => {
      call.sendHead();
      call.sendMessage(codecOf(WatchResponseSchema).encode({ count: 1n }));
    };
  });
  await using direct = createDirectClient(Counter, server.address);
  const stream = direct.client.watch({});
  assert.equal((await stream.next()).value?.count, 1n);
  server.cut();
  await rejectsWith(stream.next(), { code: "unavailable" });
  assert.equal((await direct.client.watch({}).next()).value?.count, 1n, "the next call connects anew");
});

test("nobody listens: unavailable, and it says where", async () => {
  const server = await startWireServer(counter);
  await server.close();
  await using direct = createDirectClient(Counter, server.address);
  await rejectsWith(direct.client.count({}), { code: "unavailable" });
});

test("gzip is understood in answers and, when asked for, spoken in requests", async () => {
  const text = "weft ".repeat(1_000);
  let flag = -1;
  await using server = await startWireServer((call) => {
    call.onBody = (bytes) => {
      if (flag < 0) flag = bytes[0];
    };
    call.onEnd = () => {
      call.sendHead(["grpc-encoding", "gzip"]);
      call.sendMessage(gzipSync(codecOf(ChatResponseSchema).encode({ text })), true);
      call.sendStatus(0);
    };
  });
  await using direct = createDirectClient(Counter, server.address, { compression: "gzip" });
  const texts: string[] = [];
  for await (const answer of direct.client.chat([{ text }])) texts.push(answer.text);
  assert.deepEqual(texts, [text]);
  assert.equal(flag, 1);
  assert.equal(fieldOf(server.heads[0].fields, "grpc-encoding"), "gzip");
});

test("a response over maxMessageBytes is refused, inflated ones too", async () => {
  const text = "x".repeat(5_000);
  let gzip = false;
  await using server = await startWireServer((call) => {
    const message = codecOf(CountResponseSchema).encode({});
    call.onEnd = () => {
      call.sendHead(["grpc-encoding", "gzip"]);
      if (gzip) call.sendMessage(gzipSync(Buffer.concat([message, Buffer.from(text)])), true);
      else call.sendMessage(Buffer.from(text));
      call.sendStatus(0);
    };
  });
  await using direct = createDirectClient(Counter, server.address, { maxMessageBytes: 1_000 });
  await rejectsWith(direct.client.count({}), { code: "resource_exhausted", reason: "MESSAGE_TOO_LARGE" });
  gzip = true;
  await rejectsWith(direct.client.count({}), { code: "resource_exhausted", reason: "MESSAGE_TOO_LARGE" });
});

test("unary answers that break the rules are errors: none, two, cut short, no status", async () => {
  const message = codecOf(CountResponseSchema).encode({ count: 1n });
  const answers: ((call: WireCall) => void)[] = [
    (call) => call.sendStatus(0),
    (call) => {
      call.sendMessage(message);
      call.sendMessage(message);
      call.sendStatus(0);
    },
    (call) => {
      call.stream.sendData(Uint8Array.of(0, 0, 0, 0, 9, 1), 0, 6, false);
      call.sendStatus(0);
    },
    (call) => {
      call.sendMessage(message);
      call.stream.sendData(new Uint8Array(0), 0, 0, true);
    },
  ];
  let which = 0;
  await using server = await startWireServer((call) => {
    call.onEnd = () => {
      call.sendHead();
      answers[which](call);
    };
  });
  await using direct = createDirectClient(Counter, server.address);
  const reasons = ["NO_MESSAGE", "TOO_MANY_MESSAGES", "NO_MESSAGE", "NO_GRPC_STATUS"];
  for (which = 0; which < answers.length; which++) {
    await assert.rejects(direct.client.count({}), { name: "WeftError", reason: reasons[which] });
  }
});

test("a slow reader bounds what the server can send, and loses nothing", async () => {
  const text = "y".repeat(10_000);
  const message = codecOf(ChatResponseSchema).encode({ text });
  const TOTAL = 1_000;
  let sent = 0;
  await using server = await startWireServer((call) => {
    const go = (): void => {
      while (sent < TOTAL) {
        sent++;
        if (!call.sendMessage(message)) return;
      }
      call.sendStatus(0);
    };
    call.onDrain = go;
    call.onEnd = () => {
      call.sendHead();
      go();
    };
  });
  await using direct = createDirectClient(Counter, server.address);
  const stream = direct.client.chat([]);
  assert.equal((await stream.next()).value?.text.length, 10_000);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.ok(sent < 200, `${sent} of ${TOTAL} messages were sent to a reader that took one`);
  let taken = 1;
  for await (const answer of stream) {
    assert.equal(answer.text.length, 10_000);
    taken++;
  }
  assert.equal(taken, TOTAL);
});

test("a server that does not read stops the stream of requests", async () => {
  const text = "z".repeat(10_000);
  let call: WireCall | undefined;
  await using server = await startWireServer((one) => {
    call = one;
    one.credits = false;
    one.sendHead();
  });
  await using direct = createDirectClient(Counter, server.address);
  let produced = 0;
  let left = false;
  async function* endless() {
    try {
      for (;;) {
        produced++;
        yield { text };
      }
    } finally {
      left = true;
    }
  }
  const responses = direct.client.chat(endless());
  const first = responses.next();
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.ok(produced > 1 && produced < 500, `${produced} messages were taken from the producer`);
  call?.sendStatus(0);
  assert.equal((await first).done, true);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(left, true, "the producer is told to stop when the call ends first");
});

test("a failing stream of requests cancels the call with its error", async () => {
  const gone = Promise.withResolvers<void>();
  await using server = await startWireServer((call) => {
    call.onCancelled = () => gone.resolve();
  });
  await using direct = createDirectClient(Counter, server.address);
  async function* broken() {
    yield { count: 1n };
    await until(() => server.heads.length > 0);
    throw new Error("no more");
  }
  await rejectsWith(direct.client.sum(broken()), { code: "cancelled", reason: "REQUESTS_FAILED" });
  await gone.promise;
});

test("interceptors wrap unary calls and streams in one shape, the first outermost", async () => {
  await using server = await startWireServer(counter);
  const log: string[] = [];
  const named =
    (name: string): ClientInterceptor =>
    (next) =>
    async (request) => {
      log.push(`${name} ${request.method.name}`);
      request.metadata.append("x-by", name);
      return await next(request);
    };
  await using direct = createDirectClient(Counter, server.address, { interceptors: [named("outer"), named("inner")] });
  assert.equal((await direct.client.count({ count: 1n })).count, 2n);
  const seen: bigint[] = [];
  for await (const { count } of direct.client.watch({})) seen.push(count);
  assert.deepEqual(seen, [1n, 2n, 3n]);
  assert.equal((await direct.client.sum([{ count: 5n }])).sum, 5n);
  assert.deepEqual(log, ["outer Count", "inner Count", "outer Watch", "inner Watch", "outer Sum", "inner Sum"]);
  const by = server.heads[1].fields.filter((_, i, fields) => fields[i - 1] === "x-by");
  assert.deepEqual(by, ["outer", "inner"]);
});

test("what is ambient passes on: fields, deadline and cancellation", async () => {
  const gone = Promise.withResolvers<void>();
  await using server = await startWireServer((call) => {
    call.onCancelled = () => gone.resolve();
  });
  const controller = new AbortController();
  await using direct = createDirectClient(Counter, server.address, {
    ambient: () => ({
      deadline: performance.now() + 5_000,
      signal: controller.signal,
      extraFields: ["traceparent", "00-1-2-01"],
    }),
  });
  const answer = direct.client.count({}, { timeoutMs: 60_000 });
  await until(() => server.heads.length > 0);
  controller.abort(new WeftError("deadline_exceeded", "the served call's deadline passed"));
  await rejectsWith(answer, { code: "deadline_exceeded" });
  await gone.promise;
  assert.equal(fieldOf(server.heads[0].fields, "traceparent"), "00-1-2-01");
  assert.ok(Number.parseInt(fieldOf(server.heads[0].fields, "grpc-timeout") ?? "", 10) <= 5_000_000);
});

test("the decision is told when a call ends", async () => {
  await using server = await startWireServer(counter);
  const decisions: [service: string, attempts: number][] = [];
  const onDecision = (decision: Decision) => void decisions.push([decision.service, decision.attempts.length]);
  await using direct = createDirectClient(Counter, server.address);
  await direct.client.count({}, { onDecision });
  assert.deepEqual(decisions, [[server.address, 1]]);
});

test("a direct client neither retries nor breaks", async () => {
  await using server = await startWireServer((call) => call.fail(14, "no"));
  await using direct = createDirectClient(Counter, server.address);
  for (let i = 0; i < 60; i++) await rejectsWith(direct.client.count({}), { code: "unavailable", message: /^no$/ });
  assert.equal(server.heads.length, 60);
});

test("a callback that throws fails its own call, and no other on the connection", async () => {
  await using server = await startWireServer(counter);
  await using direct = createDirectClient(Counter, server.address);
  await direct.client.count({});
  const others = Array.from({ length: 5 }, () => direct.client.count({ count: 1n }));
  const broken = () => {
    throw new Error("mine");
  };
  for (const options of [{ onHeader: broken }, { onTrailer: broken }, { onDecision: broken }]) {
    await rejectsWith(direct.client.count({}, options), {
      code: "internal",
      reason: "CALLBACK_FAILED",
      message: /mine/,
    });
    await assert.rejects(Array.fromAsync(direct.client.watch({}, options)), { reason: "CALLBACK_FAILED" });
  }
  assert.deepEqual(
    (await Promise.all(others)).map(({ count }) => count),
    [2n, 2n, 2n, 2n, 2n],
  );
});

test("a timeout that is no number is refused", async () => {
  await using server = await startWireServer(counter);
  await using direct = createDirectClient(Counter, server.address);
  await rejectsWith(direct.client.count({}, { timeoutMs: Number.NaN }), {
    code: "invalid_argument",
    reason: "BAD_TIMEOUT",
  });
  await rejectsWith(direct.client.watch({}, { timeoutMs: -1 }).next(), { code: "invalid_argument" });
  await rejectsWith(direct.client.count({}, { timeoutMs: 0 }), { code: "deadline_exceeded" });
});
