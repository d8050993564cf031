import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { afterEach, test } from "node:test";
import { type Clock, systemClock, VirtualClock } from "../../core/clock.ts";
import type { WeftError } from "../../core/errors.ts";
import { seededRandom } from "../../core/random.ts";
import { answeringServer } from "./answering-server.case.ts";
import { ApiClient } from "./api-client.ts";
import { CONFIG_MAPS } from "./api-resource.ts";
import { listObjects } from "./list-objects.ts";
import { ListWatch } from "./list-watch.ts";

/** What a real API server does too rarely: pages that are forgotten, watches that end, bookmarks, answers that are none. */
type Answer = (query: URLSearchParams, response: ServerResponse, request: IncomingMessage) => void;

const open: { close(): void }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

/** Answers the questions in order; the last answer goes on. */
async function serve(...answers: Answer[]) {
  const asked: string[] = [];
  const { access, ...server } = await answeringServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "", "http://x");
    for (const name of ["limit", "timeoutSeconds", "allowWatchBookmarks", "fieldValidation"]) searchParams.delete(name);
    asked.push(`${request.method} ${pathname.replace("/api/v1/namespaces/shop/", "")} ${searchParams}`.trim());
    (answers.length > 1 ? answers.shift() : answers[0])?.(searchParams, response, request);
  });
  const client = new ApiClient({ access, clock: systemClock, random: seededRandom(1) });
  open.push(client, server);
  return { access, client, asked };
}

const object = (name: string, version: number) => ({ metadata: { name, uid: "u", resourceVersion: String(version) } });
const json =
  (status: number, body: unknown): Answer =>
  (_, response) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
const page = (names: string[], version: number, more = "") =>
  json(200, {
    metadata: { resourceVersion: String(version), continue: more },
    items: names.map((name) => object(name, 1)),
  });
const gone = { kind: "Status", code: 410, reason: "Expired", message: "too old" };
const line = (type: string, value: unknown) => `${JSON.stringify({ type, object: value })}\n`;
/** A watch that tells something, and ends or not. */
const stream =
  (lines: string, ends = false): Answer =>
  (_, response) => {
    response.writeHead(200).write(lines || "\n");
    if (ends) response.end();
  };

const get = { verb: "get", resource: CONFIG_MAPS, name: "a" } as const;
const create = { verb: "create", resource: CONFIG_MAPS, body: { metadata: { name: "a" } } } as const;
const busy = json(429, { kind: "Status" });

function follow(client: ApiClient, clock: Clock = systemClock, listAfterFailure = false) {
  const told: string[] = [];
  const failures: string[] = [];
  let look = (): void => {};
  const note = (text: string): void => {
    told.push(text);
    look();
  };
  const watch = new ListWatch({
    client,
    clock,
    random: seededRandom(1),
    resource: CONFIG_MAPS,
    selector: {},
    listAfterFailure,
    onList: ({ objects }) => note(`list ${objects.map(({ metadata }) => metadata.name)}`),
    onEvents: (events) => {
      for (const { kind, object: one } of events) note(`${kind} ${one.metadata.name}`);
    },
    onState: (failure) => failure !== null && failures.push(failure.reason),
  });
  open.push(watch);
  const until = (text: string): Promise<void> =>
    new Promise((resolve) => {
      look = () => told.includes(text) && resolve();
      look();
    });
  return { told, failures, until };
}

test("a watch that ends is taken up from the last version, which bookmarks move", async () => {
  const { client, asked } = await serve(
    page(["a"], 5),
    stream(line("ADDED", object("b", 7)) + line("BOOKMARK", object("", 9)), true),
    stream(line("DELETED", object("b", 11))),
  );
  const { told, failures, until } = follow(client);
  await until("deleted b");
  assert.deepEqual(told, ["list a", "put b", "deleted b"]);
  assert.deepEqual(failures, []);
  assert.deepEqual(asked.slice(0, 3), [
    "GET configmaps",
    "GET configmaps watch=true&resourceVersion=5",
    "GET configmaps watch=true&resourceVersion=9",
  ]);
});

test("410, as an answer or in the stream, has everything listed again", async () => {
  const { client, asked } = await serve(
    page(["a"], 5),
    stream(line("MODIFIED", object("a", 6)) + line("ERROR", gone)),
    page(["a", "b"], 20),
    json(410, gone),
    page(["c"], 30),
    stream(""),
  );
  const { told, failures, until } = follow(client);
  await until("list c");
  assert.deepEqual(told, ["list a", "put a", "list a,b", "list c"]);
  assert.deepEqual(failures, ["GONE", "GONE"]);
  assert.equal(asked[3], "GET configmaps watch=true&resourceVersion=20");
});

test("what breaks is taken up where it was, or listed again where nobody else looks for lost data", async () => {
  const broken: Answer = (_, response) => {
    response.writeHead(200).write(line("ADDED", object("b", 6)));
    setImmediate(() => response.destroy());
  };
  const again = await serve(page(["a"], 5), broken, stream(line("ADDED", object("c", 8))));
  const first = follow(again.client);
  await first.until("put c");
  assert.deepEqual(again.asked.at(-1), "GET configmaps watch=true&resourceVersion=6");
  assert.deepEqual(first.failures, ["KUBERNETES_AWAY"]);
  const anew = await serve(page(["a"], 5), broken, page(["z"], 2), stream(""));
  const second = follow(anew.client, systemClock, true);
  await second.until("list z");
  assert.deepEqual(second.told, ["list a", "put b", "list z"]);
});

test("lines that are no events end the watch, and are not believed", async () => {
  const { client } = await serve(
    page([], 5),
    stream("nonsense\n"),
    stream(line("ADDED", { metadata: { name: 7 } })),
    stream(line("ADDED", { metadata: { name: "x", resourceVersion: "abc" } })),
    stream(line("ADDED", object("b", 6))),
  );
  const { told, failures, until } = follow(client);
  await until("put b");
  assert.deepEqual(failures, ["BAD_ANSWER", "BAD_ANSWER", "BAD_ANSWER"]);
  assert.deepEqual(told, ["list ", "put b"]);
});

test("pages make one list; when their moment is forgotten it begins again, but not for ever", async () => {
  const forgotten = await serve(page(["a"], 5, "next"), json(410, gone), page(["a", "b"], 9, "next"), page(["c"], 9));
  const { objects, resourceVersion } = await listObjects(forgotten.client, CONFIG_MAPS, {});
  assert.deepEqual([objects.map(({ metadata }) => metadata.name).join(), resourceVersion], ["a,b,c", "9"]);
  assert.deepEqual(forgotten.asked.slice(1, 4), [
    "GET configmaps continue=next",
    "GET configmaps",
    "GET configmaps continue=next",
  ]);
  const always = await serve(json(410, gone));
  await assert.rejects(listObjects(always.client, CONFIG_MAPS, {}), { reason: "GONE" });
  assert.equal(always.asked.length, 3);
});

test("what was not carried out is asked again, a write that may have been is not", async () => {
  const refused = await serve(busy, json(201, object("a", 5)));
  assert.deepEqual(await refused.client.ask(create), object("a", 5));
  assert.equal(refused.asked.length, 2);
  const reset: Answer = (_, response) => void response.destroy();
  const lost = await serve(reset, json(201, object("a", 5)));
  await assert.rejects(lost.client.ask(create), { code: "unavailable", reason: "KUBERNETES_AWAY" });
  assert.equal(lost.asked.length, 1);
  const read = await serve(reset, json(200, object("a", 5)));
  assert.deepEqual(await read.client.ask(get), object("a", 5));
  const silent = await serve(() => {});
  await assert.rejects(silent.client.ask(create, 100), { code: "unavailable", reason: "KUBERNETES_SLOW" });
});

/** A client whose clock is moved by hand; `waits` is what it was asked to wait, ms. */
async function byHand(...answers: Answer[]) {
  const time = new VirtualClock();
  const waits: number[] = [];
  let stoodStillMs = 0;
  const clock: Clock = {
    now: () => time.now() + stoodStillMs,
    wallMs: () => time.wallMs(),
    after: (ms, fire) => {
      waits.push(ms);
      return time.after(ms, fire);
    },
  };
  const { access, asked } = await serve(...answers);
  const made = new ApiClient({ access, clock, random: seededRandom(1) });
  open.push(made);
  /** Of the head, the body and the pause after an answer: the last one. */
  const pause = async (): Promise<number> => {
    while (waits.length < 3) await new Promise((resolve) => setImmediate(resolve));
    return waits[2];
  };
  const silent = async (): Promise<void> => {
    while (asked.length < 2) await new Promise((resolve) => setImmediate(resolve));
  };
  return { client: made, asked, time, pause, silent, standStill: (ms: number) => (stoodStillMs += ms) };
}

test("what the deadline cut short hides nothing that was said before, unless it may have been carried out", async () => {
  const ends = [
    { question: get, end: { reason: "KUBERNETES_BUSY" } },
    { question: create, end: { reason: "KUBERNETES_SLOW", retryable: false, message: /within 700 ms/ } },
  ] as const;
  for (const { question, end } of ends) {
    const { client, time, pause, silent } = await byHand(busy, () => {});
    const rejected = assert.rejects(client.ask(question, 700), end);
    time.advance(await pause());
    await silent();
    time.advance(700);
    await rejected;
  }
});

test("who stood still in a pause until the deadline was over begins nothing more", async () => {
  const { client, asked, time, pause, standStill } = await byHand(busy, json(201, object("a", 5)));
  const rejected = assert.rejects(client.ask(create, 700), { reason: "KUBERNETES_BUSY", retryable: true });
  const ms = await pause();
  standStill(1_000);
  time.advance(ms);
  await rejected;
  assert.equal(asked.length, 1);
});

test("connections that may be dead are left, but not when something was answered meanwhile", async () => {
  const late: (() => void)[] = [];
  const waits: Answer = (query, response, request) =>
    void late.push(() => json(200, object("a", 5))(query, response, request));
  const { client, asked } = await serve(waits, json(200, object("b", 6)), waits);
  const since = systemClock.now();
  const first = client.ask(get);
  while (late.length < 1) await new Promise((resolve) => setImmediate(resolve));
  await client.ask(get);
  client.reconnect(since);
  late[0]();
  assert.deepEqual(await first, object("a", 5));
  const second = client.ask(create);
  const rejected = assert.rejects(second, { reason: "KUBERNETES_AWAY" });
  while (late.length < 2) await new Promise((resolve) => setImmediate(resolve));
  client.reconnect(systemClock.now());
  await rejected;
  assert.equal(asked.length, 3);
});

test("answers that are too long, or none, are refused", async () => {
  const page = await serve((_, response) => void response.writeHead(200).end("<html>"));
  await assert.rejects(page.client.ask(get), { reason: "BAD_ANSWER" });
  const failed = await serve((_, response) => void response.writeHead(418).end("no"));
  await assert.rejects(failed.client.ask(get), (error: WeftError) => error.message.includes("answers 418 to get"));
});
