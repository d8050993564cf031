import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { parseNetwork } from "../core/network.ts";
import { askDnsServer } from "../net/dns-exchange.ts";
import { RCODE, TYPE } from "../wire/dns/constants.ts";
import { ask, readMessage } from "../wire/dns/message.case.ts";
import { type DnsServer, listenDns } from "./dns-server.ts";
import { resolversOf } from "./resolvers.ts";
import { VirtualAddresses } from "./virtual-addresses.ts";
import { VirtualNameServer, type VirtualNameServerOptions } from "./virtual-name-server.ts";

function namesOf(options: Partial<VirtualNameServerOptions> = {}): VirtualNameServer {
  return new VirtualNameServer({
    addressOf: (name) => Promise.resolve(name === "full.weft" ? null : "127.80.1.2"),
    ...options,
  });
}

async function served(t: TestContext, server: VirtualNameServer): Promise<DnsServer> {
  const dns = await listenDns((query, over) => server.answer(query, over), { port: 0 });
  t.after(() => dns.close());
  return dns;
}

test("a name's first address follows from it, and lies in the network", () => {
  const one = new VirtualAddresses("127.80.0.0/16", "web-1");
  const [first, second] = one.candidates("orders.weft");
  assert.equal([...new VirtualAddresses("127.80.0.0/16", "web-1").candidates("orders.weft")][0], first);
  assert.notEqual([...new VirtualAddresses("127.80.0.0/16", "web-2").candidates("orders.weft")][0], first);
  one.assign(first, "orders.weft");
  assert.equal([...one.candidates("orders.weft")][0], second, "one that is taken is passed over");
  assert.equal(one.nameOf(first), "orders.weft");
  const network = parseNetwork("127.9.8.0/24");
  const small = new VirtualAddresses("127.9.8.0/24", "");
  fc.assert(
    fc.property(fc.string(), (name) =>
      [...small.candidates(name)].every((address) => network?.has(address) && !/\.(0|255)$/.test(address)),
    ),
  );
  for (const wrong of ["10.0.0.0/8", "127.0.0.0/30", "::1/128", "127.80.0.0/x", "127.80.0.0"])
    assert.throws(() => new VirtualAddresses(wrong, ""), { reason: "BAD_NETWORK" }, wrong);
});

test("names below weft. have one address, and nothing of other types", async () => {
  const server = namesOf();
  const cases: [name: string, type: number, rcode: number, answers: string[]][] = [
    ["orders.weft.", TYPE.A, RCODE.NOERROR, ["127.80.1.2"]],
    ["V2.Orders.WEFT.", TYPE.A, RCODE.NOERROR, ["127.80.1.2"]],
    ["orders.weft.", TYPE.AAAA, RCODE.NOERROR, []],
    ["weft.", TYPE.A, RCODE.NOERROR, []],
    ["or_ders.weft.", TYPE.A, RCODE.NXDOMAIN, []],
    ["full.weft.", TYPE.A, RCODE.SERVFAIL, []],
    ["example.com.", TYPE.A, RCODE.REFUSED, []],
  ];
  for (const [name, type, rcode, answers] of cases) {
    const answer = readMessage((await server.answer(ask(name, { type }), "udp")) ?? new Uint8Array());
    assert.deepEqual([answer.rcode, answer.answers.map(({ data }) => data)], [rcode, answers], name);
  }
  assert.equal(await server.answer(new Uint8Array(3), "udp"), null);
});

test("answers that come later keep their order over TCP, and reach everybody over UDP", async (t) => {
  const waiting = new Map<string, PromiseWithResolvers<string>>();
  const addressOf = (name: string): Promise<string> => {
    const pending = Promise.withResolvers<string>();
    waiting.set(name, pending);
    return pending.promise;
  };
  const { port } = await served(t, namesOf({ addressOf }));
  const socket = connect(port, "127.0.0.1");
  t.after(() => socket.destroy());
  const framed = (message: Uint8Array): Buffer => Buffer.concat([Buffer.from([0, message.length]), message]);
  socket.end(Buffer.concat([framed(ask("a.weft.", { id: 1 })), framed(ask("b.weft.", { id: 2 }))]));
  const udp = createSocket("udp4");
  t.after(() => udp.close());
  udp.send(ask("c.weft.", { id: 3 }), port, "127.0.0.1");
  const later = once(udp, "message");
  while (!waiting.has("a.weft") || !waiting.has("c.weft")) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(waiting.has("b.weft"), false, "the second query of a connection is read after the first's answer");
  waiting.get("c.weft")?.resolve("127.80.0.3");
  assert.equal(readMessage((await later)[0]).answers[0].data, "127.80.0.3");
  waiting.get("a.weft")?.resolve("127.80.0.1");
  while (!waiting.has("b.weft")) await new Promise((resolve) => setImmediate(resolve));
  waiting.get("b.weft")?.resolve("127.80.0.2");
  let bytes = Buffer.concat(await socket.toArray());
  const ids: number[] = [];
  for (; bytes.length > 0; bytes = bytes.subarray(2 + bytes.readUInt16BE())) ids.push(bytes.readUInt16BE(2));
  assert.deepEqual(ids, [1, 2]);
});

test("other names are asked of a resolver, over what they came by; one that is silent is told as a failure", async (t) => {
  const seen: string[] = [];
  const upstream = await served(t, namesOf({ forward: undefined }));
  const forward = (query: Uint8Array, over: "udp" | "tcp"): Promise<Uint8Array | null> => {
    seen.push(over);
    return askDnsServer({ host: "127.0.0.1", port: upstream.port }, query, over, 60_000);
  };
  const server = namesOf({ forward });
  for (const over of ["udp", "tcp"] as const) {
    const answer = readMessage((await server.answer(ask("example.com.", { id: 77 }), over)) ?? new Uint8Array());
    assert.deepEqual([answer.id, answer.rcode], [77, RCODE.REFUSED]);
  }
  assert.deepEqual(seen, ["udp", "tcp"]);
  const silent = createSocket("udp4").bind(0, "127.0.0.1");
  t.after(() => silent.close());
  await once(silent, "listening");
  const deaf = namesOf({
    forward: (query) => askDnsServer({ host: "127.0.0.1", port: silent.address().port }, query, "udp", 30),
  });
  assert.equal(readMessage((await deaf.answer(ask("example.com."), "udp")) ?? new Uint8Array()).rcode, RCODE.SERVFAIL);
});

test("resolvers are read as the system's own does", () => {
  const text =
    "# nameserver 1.1.1.1\nsearch example.com\nnameserver 10.0.0.2\n nameserver fe80::1\nnameserver x\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n";
  assert.deepEqual(
    resolversOf(text).map(({ host }) => host),
    ["10.0.0.2", "fe80::1", "10.0.0.3"],
  );
});
