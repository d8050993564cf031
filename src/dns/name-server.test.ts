import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RCODE, TYPE } from "../wire/dns/constants.ts";
import { type AskOptions, ask, type ReadMessage, readMessage } from "../wire/dns/message.case.ts";
import { endpoint, zoneOf } from "./endpoints.case.ts";
import { NameServer } from "./name-server.ts";
import type { Zone } from "./zone.ts";

function asked(zone: Zone, name: string, options: AskOptions = {}, over: "udp" | "tcp" = "udp"): ReadMessage {
  const answer = new NameServer(zone).answer(ask(name, options), over);
  assert.ok(answer !== null);
  return readMessage(answer);
}

/** Data of the answers, sorted. */
function data(zone: Zone, name: string, type: number = TYPE.A): string[] {
  return asked(zone, name, { type, edns: 1_232 })
    .answers.map((record) => record.data)
    .sort();
}

const SHOP = zoneOf([
  endpoint(1, { version: "v1" }),
  endpoint(2, { version: "v2", weight: 3 }),
  endpoint(3, { version: "v2", health: "draining" }),
  endpoint(4, { health: "unhealthy" }),
  endpoint(5, { host: "::1", protocol: "h2" }),
  endpoint(6, { service: "legacy", protocol: "http1", id: "10.0.0.6:9001", host: "10.0.0.6", port: 9_001 }),
  endpoint(7, { service: "far", host: "far.example" }),
  endpoint(8, { service: "sick", health: "unhealthy" }),
]);

test("a service's name has the addresses of its healthy endpoints", () => {
  assert.deepEqual(data(SHOP, "products.weft."), ["127.0.0.1", "127.0.0.2"]);
  assert.deepEqual(data(SHOP, "products.weft.", TYPE.AAAA), ["00000000000000000000000000000001"]);
  assert.deepEqual(data(SHOP, "v2.products.weft."), ["127.0.0.2"]);
  assert.deepEqual(data(SHOP, "products-1.endpoint.products.weft."), ["127.0.0.1"]);
  const { authoritative, answers, rcode } = asked(SHOP, "products.weft.");
  assert.deepEqual([authoritative, rcode, answers[0].ttl], [true, RCODE.NOERROR, 5]);
});

test("SRV records name port, weight and target, whose address comes with them", () => {
  assert.deepEqual(data(SHOP, "products.weft.", TYPE.SRV), [
    "0 1 8001 products-1.endpoint.products.weft.",
    "0 1 8005 products-5.endpoint.products.weft.",
    "0 3 8002 products-2.endpoint.products.weft.",
  ]);
  assert.deepEqual(data(SHOP, "_http._tcp.products.weft.", TYPE.SRV), [
    "0 1 8001 products-1.endpoint.products.weft.",
    "0 3 8002 products-2.endpoint.products.weft.",
  ]);
  assert.deepEqual(data(SHOP, "_https._tcp.products.weft.", TYPE.SRV), ["0 1 8005 products-5.endpoint.products.weft."]);
  assert.equal(data(SHOP, "_grpc._tcp.products.weft.", TYPE.SRV).length, 3);
  assert.deepEqual(data(SHOP, "_grpc._tcp.v2.products.weft.", TYPE.SRV), [
    "0 3 8002 products-2.endpoint.products.weft.",
  ]);
  const { additionals } = asked(SHOP, "_grpc._tcp.v2.products.weft.", { type: TYPE.SRV });
  assert.deepEqual(additionals, [
    { name: "products-2.endpoint.products.weft.", type: TYPE.A, ttl: 5, data: "127.0.0.2" },
  ]);
});

test("an id that is no label gets one of its own; a host that has a name is its own target", () => {
  const [legacy] = data(SHOP, "legacy.weft.", TYPE.SRV);
  assert.match(legacy, /^0 1 9001 10-0-0-6-9001-[0-9a-f]{8}\.endpoint\.legacy\.weft\.$/);
  assert.deepEqual(data(SHOP, legacy.split(" ")[3]), ["10.0.0.6"]);
  assert.deepEqual(data(SHOP, "far.weft.", TYPE.SRV), ["0 1 8007 far.example."]);
  assert.deepEqual(data(SHOP, "far.weft."), []);
});

test("the case of the question is kept, and does not matter", () => {
  const read = asked(SHOP, "PrOdUcTs.wEfT.");
  assert.equal(read.question, "PrOdUcTs.wEfT.");
  assert.deepEqual(
    read.answers.map(({ name }) => name),
    ["PrOdUcTs.wEfT.", "PrOdUcTs.wEfT."],
  );
});

test("answers begin with another record each time", () => {
  const server = new NameServer(zoneOf([1, 2, 3].map((n) => endpoint(n))));
  const firsts = [1, 2, 3, 4].map(
    () => readMessage(server.answer(ask("products.weft."), "udp") as Uint8Array).answers[0],
  );
  assert.deepEqual(
    firsts.map(({ data: address }) => address),
    ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.1"],
  );
});

test("names that are not there, types that they do not have, and what is not ours", () => {
  const cases: [name: string, type: number, rcode: number, soa: boolean][] = [
    ["nobody.weft.", TYPE.A, RCODE.NXDOMAIN, true],
    ["v3.products.weft.", TYPE.A, RCODE.NXDOMAIN, true],
    ["x.products-1.endpoint.products.weft.", TYPE.A, RCODE.NXDOMAIN, true],
    ["products.weft.", 16, RCODE.NOERROR, true],
    ["sick.weft.", TYPE.A, RCODE.NOERROR, true],
    // Nothing is at these, but below them there is (RFC 8020).
    ["_tcp.products.weft.", TYPE.SRV, RCODE.NOERROR, true],
    ["endpoint.products.weft.", TYPE.A, RCODE.NOERROR, true],
    ["weft.", TYPE.A, RCODE.NOERROR, true],
    ["ns.weft.", TYPE.A, RCODE.NOERROR, true],
    ["example.com.", TYPE.A, RCODE.REFUSED, false],
    ["products.weft.example.", TYPE.A, RCODE.REFUSED, false],
    ["xweft.", TYPE.A, RCODE.REFUSED, false],
    [".", TYPE.NS, RCODE.REFUSED, false],
    ["weft.", TYPE.AXFR, RCODE.REFUSED, false],
  ];
  for (const [name, type, rcode, soa] of cases) {
    const read = asked(SHOP, name, { type });
    const what = `${name} ${type}`;
    assert.deepEqual([read.rcode, read.answers.length], [rcode, 0], what);
    assert.deepEqual(
      read.authorities.map((own) => [own.name, own.type, own.ttl]),
      soa ? [["weft.", TYPE.SOA, 1]] : [],
      what,
    );
    assert.equal(read.authoritative, soa, what);
  }
  assert.equal(asked(SHOP, "version.bind.", { class: 3, type: 16 }).rcode, RCODE.REFUSED);
  assert.equal(asked(SHOP, "products.weft.", { class: 255 }).answers.length, 2);
});

test("the zone has an SOA and an NS; ANY is answered by one record", () => {
  assert.equal(asked(SHOP, "weft.", { type: TYPE.SOA }).answers.length, 1);
  assert.equal(asked(SHOP, "weft.", { type: TYPE.NS }).answers.length, 1);
  for (const name of ["weft.", "products.weft."]) {
    const { answers } = asked(SHOP, name, { type: TYPE.ANY });
    assert.deepEqual([answers.length, answers[0].type, answers[0].data], [1, TYPE.HINFO, "075246433834383200"]);
  }
});

test("many endpoints: as many as the client takes over UDP, all of them over TCP", () => {
  const zone = zoneOf(Array.from({ length: 200 }, (_, n) => endpoint(n, { host: `10.0.1.${n}` })));
  const plain = asked(zone, "products.weft.");
  assert.deepEqual([plain.truncated, plain.answers.length], [true, Math.floor((512 - 31) / 16)]);
  const large = asked(zone, "products.weft.", { edns: 4_096 });
  assert.deepEqual([large.truncated, large.answers.length], [true, Math.floor((1_232 - 31 - 11) / 16)]);
  const tiny = asked(zone, "products.weft.", { edns: 0 });
  assert.equal(tiny.answers.length, Math.floor((512 - 31 - 11) / 16));
  const whole = asked(zone, "products.weft.", {}, "tcp");
  assert.deepEqual([whole.truncated, whole.answers.length], [false, 200]);
  assert.equal(asked(zone, "products.weft.", { type: TYPE.SRV }, "tcp").additionals.length, 200);
});

test("of a thousand endpoints 512 are named at a time, others each time", () => {
  const zone = zoneOf(Array.from({ length: 1_000 }, (_, n) => endpoint(n, { host: `10.0.${n >> 8}.${n & 255}` })));
  const server = new NameServer(zone);
  const seen = new Set<string>();
  for (let i = 0; i < 600; i++) {
    const read = readMessage(server.answer(ask("products.weft.", { type: TYPE.SRV }), "tcp") as Uint8Array);
    assert.deepEqual([read.truncated, read.answers.length], [false, 512]);
    for (const own of read.answers) seen.add(own.data);
  }
  assert.equal(seen.size, 1_000);
});

test("a change is seen by the next query", () => {
  const zone = zoneOf([endpoint(1), endpoint(2)]);
  const change = (delta: Partial<Parameters<Zone["apply"]>[0]>): void =>
    zone.apply({ full: false, changed: [], removed: [], ...delta });
  change({ changed: [endpoint(2, { health: "draining" })] });
  assert.deepEqual(data(zone, "products.weft."), ["127.0.0.1"]);
  change({ removed: [{ id: "products-1" }], changed: [endpoint(2, { host: "10.0.0.9" }), endpoint(3)] });
  assert.deepEqual(data(zone, "products.weft."), ["10.0.0.9", "127.0.0.3"]);
  change({ changed: [endpoint(3, { service: "moved" })] });
  assert.deepEqual([data(zone, "products.weft."), data(zone, "moved.weft.")], [["10.0.0.9"], ["127.0.0.3"]]);
  change({ full: true });
  assert.equal(asked(zone, "products.weft.").rcode, RCODE.NXDOMAIN);
});

test("weights that are no whole numbers keep their proportions; endpoints of the own zone go first", () => {
  const zone = zoneOf([endpoint(1, { weight: 0.5, zone: "a" }), endpoint(2, { weight: 0.25, zone: "b" })], {
    zone: "a",
  });
  assert.deepEqual(data(zone, "products.weft.", TYPE.SRV), [
    "0 10000 8001 products-1.endpoint.products.weft.",
    "1 5000 8002 products-2.endpoint.products.weft.",
  ]);
});

test("two endpoints at one address are one record", () => {
  const zone = zoneOf([endpoint(1), endpoint(2, { host: "127.0.0.1" })]);
  assert.deepEqual(data(zone, "products.weft."), ["127.0.0.1"]);
  assert.equal(data(zone, "products.weft.", TYPE.SRV).length, 2);
});

test("whatever is asked, the answer fits (N1, N2)", () => {
  const server = new NameServer(SHOP);
  const bytes = fc.uint8Array({ maxLength: 300 });
  fc.assert(
    fc.property(bytes, (raw) => {
      const answer = server.answer(raw, "udp");
      if (answer !== null) assert.ok(answer.length <= 1_232);
    }),
  );
  const label = fc.constantFrom(
    "products",
    "PRODUCTS",
    "_tcp",
    "_http",
    "v2",
    "weft",
    "endpoint",
    "products-1",
    "x",
    "\\.",
  );
  const name = fc.array(label, { maxLength: 6 }).map((labels) => (labels.length === 0 ? "." : `${labels.join(".")}.`));
  fc.assert(
    fc.property(name, fc.nat(300), fc.option(fc.nat(65_535), { nil: undefined }), (text, type, edns) => {
      const answer = server.answer(ask(text, { type, edns }), "udp");
      assert.ok(answer !== null && answer.length <= (edns === undefined ? 512 : 1_232));
      assert.equal(readMessage(answer).question, text);
    }),
  );
});
