import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../core/clock.ts";
import { rateLimit } from "../policy/builders.ts";
import type { LocalResponse } from "../policy/call.ts";
import { context, grpc, world } from "../policy/machine/call.case.ts";
import type { Resource } from "../policy/resource/resources.ts";
import { Inbound, type InboundCall, type InboundOptions } from "./inbound.ts";

function inbound(resources: readonly Resource[], query?: InboundOptions["query"]) {
  const clock = new VirtualClock();
  const ended: string[] = [];
  const shell = new Inbound({
    policy: world({ resources }),
    clock,
    ...(query && { query }),
    onEnd: ({ outcome }) => ended.push(`${outcome.grpcStatus} ${outcome.reason}`.trim()),
  });
  const begin = (): { call: InboundCall; told: string[] } => {
    const told: string[] = [];
    const target = {
      accepted: () => void told.push("accepted"),
      refused: ({ error }: LocalResponse) => void told.push(error?.reason ?? ""),
    };
    const about = context({ place: "server", service: "products" });
    return { call: shell.begin(grpc("/p.Products/Get"), about, false, clock.now(), target), told };
  };
  return { clock, ended, begin };
}

const limit = () => rateLimit("products").at("server");

test("a call is accepted or refused at once where nothing has to be waited for, and told how it ended", () => {
  const { begin, ended } = inbound(limit().allow(1, "1m").resources());
  const first = begin();
  const second = begin();
  assert.deepEqual([first.told, second.told], [["accepted"], ["RATE_LIMITED"]]);
  assert.deepEqual(ended, ["8 RATE_LIMITED"]);
  first.call.ended(200, 0);
  first.call.ended(200, 13); // once
  assert.deepEqual(ended, ["8 RATE_LIMITED", "0"]);
});

test("waits as long as a gate says", () => {
  const { begin, clock } = inbound(limit().allow(10).spaced("1s").resources());
  begin();
  const { told } = begin();
  clock.advance(90);
  assert.deepEqual(told, []);
  clock.advance(20);
  assert.deepEqual(told, ["accepted"]);
});

test("asks, takes the answer whenever it comes, and goes on without one in time", () => {
  let answer: (result: unknown) => void = () => {};
  const { begin, clock } = inbound(limit().allow(10).shared().resources(), (_query, reply) => {
    answer = reply;
  });
  const refused = begin();
  assert.deepEqual(refused.told, []);
  answer({ allowed: false, waitMs: 10, left: 0 });
  answer({ allowed: true, waitMs: 0, left: 0 }); // once
  assert.deepEqual(refused.told, ["RATE_LIMITED"]);
  const alone = begin();
  clock.advance(60);
  assert.deepEqual(alone.told, ["accepted"]); // by the process's own share
  answer({ allowed: false, waitMs: 10, left: 0 });
  assert.deepEqual(alone.told, ["accepted"]);
});

test("what waits goes on when another ends, or leaves when its caller does", async () => {
  const { begin, ended } = inbound(limit().inFlight(1, { queue: 2, maxWait: "1m" }).resources());
  const [first, second, third] = [begin(), begin(), begin()];
  second.call.gone();
  assert.deepEqual(ended, ["1 CANCELLED"]);
  first.call.ended(200, 0);
  assert.deepEqual(third.told, []); // not while the one that ended changes what they share
  await Promise.resolve();
  assert.deepEqual([second.told, third.told], [[], ["accepted"]]);
});

test("a handler counts until it has settled, though its caller gave up, and 5 s at most", () => {
  const { begin, clock, ended } = inbound(limit().inFlight(1).resources());
  const first = begin();
  first.call.working();
  first.call.gone();
  assert.deepEqual(ended, []);
  assert.deepEqual(begin().told, ["TOO_MANY_IN_FLIGHT"]);
  first.call.idle();
  const second = begin();
  assert.deepEqual([ended.at(-1), second.told], ["1 CANCELLED", ["accepted"]]);
  second.call.working();
  second.call.ended(200, 4);
  clock.advance(4_900);
  assert.deepEqual(begin().told, ["TOO_MANY_IN_FLIGHT"]);
  clock.advance(200);
  assert.deepEqual(begin().told, ["accepted"]);
  second.call.idle(); // far too late
  assert.equal(ended.filter((outcome) => outcome === "4").length, 1);
});
