import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../../core/clock.ts";
import { type AnswerParts, a, answerTo, askedBy, cname, soa, srv } from "../../wire/dns/answer.case.ts";
import { RCODE, TYPE } from "../../wire/dns/constants.ts";
import { openDnsRegistry } from "./dns-registry.ts";
import type { ResolverOptions } from "./resolver.ts";
import { DnsResolver } from "./resolver.ts";

/** What a server does with a query: an answer, or bytes, one after the other; null: nothing comes. */
type Server = (asked: {
  name: string;
  type: number;
  over: "udp" | "tcp";
  query: Uint8Array;
}) => AnswerParts | Uint8Array[] | null;

/** An exchange with servers that are functions, by host; counts what each was asked. */
function scripted(servers: Record<string, Server>) {
  const asked: string[] = [];
  const exchange: ResolverOptions["exchange"] = async ({ host }, query, over, _timeoutMs, takes = () => true) => {
    const { name, type } = askedBy(query);
    asked.push(`${host} ${over} ${name} ${type}`);
    const said = servers[host]({ name, type, over, query });
    if (said === null) return null;
    const messages = Array.isArray(said) ? said : [answerTo(query, said)];
    return messages.find((bytes) => takes(bytes)) ?? null;
  };
  return { exchange, asked };
}

function resolver(servers: Record<string, Server>) {
  const { exchange, asked } = scripted(servers);
  const list = Object.keys(servers).map((host) => ({ host, port: 53 }));
  return { asked, dns: new DnsResolver({ servers: list, exchange, timeoutMs: 100 }) };
}

const NOTHING: AnswerParts = { rcode: RCODE.NXDOMAIN, authorities: [soa("test.", 7, 60)] };

test("an answer with another id, question or case is waited past, not believed", async () => {
  const { dns } = resolver({
    one: ({ query }) => {
      const truth = { answers: [a("web.test.", "10.0.0.1")] };
      const other = answerTo(query, {
        question: Uint8Array.from([1, 120, 0, 0, 1, 0, 1]),
        answers: [a("x.", "6.6.6.6")],
      });
      const wrongId = answerTo(query, { id: ((query[0] << 8) | query[1]) ^ 1, answers: [a("web.test.", "6.6.6.6")] });
      return [Uint8Array.of(1, 2, 3), wrongId, other, answerTo(query, truth)];
    },
  });
  assert.deepEqual((await dns.resolve("web.test.", TYPE.A)).values, [{ kind: "address", address: "10.0.0.1" }]);
});

test("a server that does not keep the question's case, or cuts its answer, is asked over TCP", async () => {
  const { dns, asked } = resolver({
    one: ({ over, query }) => {
      if (over === "tcp") return { answers: [a("wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww.test.", "10.0.0.1")] };
      const question = Uint8Array.from(answerTo(query).subarray(12), (byte) =>
        byte >= 0x41 && byte <= 0x5a ? byte + 32 : byte,
      );
      return { question, answers: [a("wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww.test.", "6.6.6.6")] };
    },
  });
  const name = "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww.test.";
  assert.deepEqual((await dns.resolve(name, TYPE.A)).values, [{ kind: "address", address: "10.0.0.1" }]);
  assert.deepEqual(asked, [`one udp ${name} 1`, `one tcp ${name} 1`]);
  const cut = resolver({
    one: ({ over }) => (over === "udp" ? { truncated: true } : { answers: [a("web.test.", "10.0.0.2")] }),
  });
  assert.deepEqual((await cut.dns.resolve("web.test.", TYPE.A)).values, [{ kind: "address", address: "10.0.0.2" }]);
});

test("the next server is asked when one is silent, talks nonsense or has no answer, and is asked first from then on", async () => {
  const good: Server = () => ({ answers: [a("web.test.", "10.0.0.1")] });
  for (const bad of [
    () => null,
    () => ({ rcode: RCODE.SERVFAIL }),
    () => ({ rcode: RCODE.REFUSED }),
    () => [Uint8Array.of(0, 1)],
  ] as Server[]) {
    const { dns, asked } = resolver({ one: bad, two: good });
    await dns.resolve("web.test.", TYPE.A);
    await dns.resolve("web.test.", TYPE.A);
    assert.deepEqual(asked, ["one udp web.test. 1", "two udp web.test. 1", "two udp web.test. 1"]);
  }
  const none = resolver({ one: () => null, two: () => ({ rcode: RCODE.SERVFAIL }), three: () => [Uint8Array.of(9)] });
  await assert.rejects(none.dns.resolve("web.test.", TYPE.A), {
    code: "unavailable",
    reason: "DNS_AWAY",
    message:
      "web.test. cannot be looked up: one:53 does not answer within 100 ms; two:53 answers SERVFAIL; three:53 answers with what is no DNS message",
  });
});

test("a server that does not know EDNS is asked without it", async () => {
  const { dns, asked } = resolver({
    one: ({ query }) =>
      query[11] === 1 ? { rcode: RCODE.FORMERR, question: null } : { answers: [a("web.test.", "10.0.0.1")] },
  });
  assert.equal((await dns.resolve("web.test.", TYPE.A)).values.length, 1);
  assert.equal((await dns.resolve("web.test.", TYPE.A)).values.length, 1);
  assert.equal(asked.length, 3);
});

test("CNAMEs are followed within an answer and beyond it, and not for ever", async () => {
  const { dns, asked } = resolver({
    one: ({ name }) =>
      name === "web.test."
        ? { answers: [cname("web.test.", "b.test.", 9), cname("b.test.", "c.other.", 30)] }
        : { answers: [a("c.other.", "10.0.0.1", 20), a("elsewhere.", "6.6.6.6", 1)] },
  });
  const found = await dns.resolve("web.test.", TYPE.A);
  assert.deepEqual([found.values, found.ttl], [[{ kind: "address", address: "10.0.0.1" }], 9]);
  assert.deepEqual(asked, ["one udp web.test. 1", "one udp c.other. 1"]);
  const circle = resolver({
    one: ({ name }) => ({ answers: [cname(name, name === "a.test." ? "b.test." : "a.test.")] }),
  });
  await assert.rejects(circle.dns.resolve("a.test.", TYPE.A), { reason: "BAD_DNS_DATA" });
  let length = 0;
  const chain = resolver({ one: ({ name }) => ({ answers: [cname(name, `n${length++}.test.`)] }) });
  await assert.rejects(chain.dns.resolve("a.test.", TYPE.A), { reason: "BAD_DNS_DATA" });
  assert.ok(length < 20);
});

test("what is not there is kept for as long as its zone says (RFC 2308)", async () => {
  const ttlOf = async (said: AnswerParts) => (await resolver({ one: () => said }).dns.resolve("web.test.", TYPE.A)).ttl;
  assert.equal(await ttlOf(NOTHING), 7);
  assert.equal(await ttlOf({ authorities: [soa("test.", 100, 60)] }), 60);
  assert.equal(await ttlOf({ rcode: RCODE.NXDOMAIN }), 5);
});

const turns = async () => {
  for (let i = 0; i < 40; i++) await new Promise((resolve) => setImmediate(resolve));
};

async function open(server: Server, query = "?services=web") {
  const clock = new VirtualClock();
  const { exchange, asked } = scripted({ one: server });
  const told: string[] = [];
  const registry = await openDnsRegistry({
    url: `dns://one/test${query}`,
    clock,
    exchange,
    random: { next: () => 1 },
    onError: ({ reason }) => told.push(reason),
    onRecovered: () => told.push("recovered"),
  });
  const pass = async (ms: number) => {
    clock.advance(ms);
    await turns();
  };
  const seen = async (service = "web") => {
    const { endpoints, staleMs } = await registry.query([service]);
    return `${endpoints.map(({ host, port, weight }) => `${host}:${port}/${weight}`).join(" ")} ${staleMs}`.trim();
  };
  return { registry, asked, told, pass, seen };
}

test("D1: a name is looked up again when its TTL is over, within bounds, and what is gone is gone", async () => {
  let ttl = 10;
  let host = "10.0.0.1";
  const { registry, asked, pass, seen } = await open(({ name, type }) => {
    if (type === TYPE.SRV && name === "web.test.")
      return { answers: [srv(name, 0, 5, 80, "a.test.", ttl)], additionals: [a("a.test.", host, 3_600)] };
    return NOTHING;
  }, "?services=web&refresh=20");
  assert.equal(await seen(), "10.0.0.1:80/5 0");
  host = "10.0.0.2";
  const lookUps = () => asked.filter((one) => one.includes("web.test. 33")).length;
  await pass(9_900);
  assert.deepEqual([await seen(), lookUps()], ["10.0.0.1:80/5 0", 1]);
  ttl = 0;
  await pass(100);
  assert.deepEqual([await seen(), lookUps()], ["10.0.0.2:80/5 0", 2]);
  await pass(999);
  assert.equal(lookUps(), 2, "never more often than once a second");
  ttl = 86_400;
  await pass(1);
  assert.equal(lookUps(), 3);
  await pass(20_000);
  assert.equal(lookUps(), 4, "at the latest after `refresh`");
  await registry.close();
});

test("D1: what is not there is not asked for again before its zone says so, and is found then", async () => {
  let there = false;
  const { registry, asked, pass, seen } = await open(({ name, type }) =>
    there && name === "web.test." && type === TYPE.SRV
      ? { answers: [srv(name, 0, 1, 80, "a.test.")], additionals: [a("a.test.", "10.0.0.1")] }
      : { rcode: RCODE.NXDOMAIN, authorities: [soa("test.", 7, 60)] },
  );
  const lookUps = () => asked.filter((one) => one.includes(" web.test. 33")).length;
  assert.equal(await seen(), "0");
  there = true;
  for (let second = 1; second <= 6; second++) {
    await pass(1_000);
    // Whoever asks meanwhile gets what is known.
    assert.deepEqual([await seen(), lookUps()], ["0", 1], `after ${second} s`);
  }
  await pass(1_000);
  assert.deepEqual([await seen(), lookUps()], ["10.0.0.1:80/1 0", 2]);
  await registry.close();
});

test("D2: while no server answers, what was known stays, and says how old it is", async () => {
  let away = false;
  let host = "10.0.0.1";
  const { registry, told, pass, seen } = await open(({ type, name }) => {
    if (away) return null;
    return type === TYPE.SRV && name === "web.test."
      ? { answers: [srv(name, 0, 1, 80, "a.test.", 2)], additionals: [a("a.test.", host, 60)] }
      : NOTHING;
  });
  await seen();
  away = true;
  await pass(2_000);
  for (let i = 0; i < 60; i++) await pass(1_000);
  assert.equal(await seen(), "10.0.0.1:80/1 62000");
  assert.deepEqual(told, ["DNS_AWAY"]);
  away = false;
  host = "10.0.0.9";
  await pass(1_000);
  assert.equal(await seen(), "10.0.0.9:80/1 0");
  assert.deepEqual(told, ["DNS_AWAY", "recovered"]);
  await registry.close();
});

test("D3: records of a higher priority number are used while none of the lower ones is healthy", async () => {
  const { registry, seen } = await open(({ name, type }) =>
    type === TYPE.SRV && name === "web.test."
      ? {
          answers: [srv(name, 20, 0, 80, "c.test."), srv(name, 10, 3, 80, "a.test."), srv(name, 10, 1, 81, "a.test.")],
          additionals: [a("a.test.", "10.0.0.1"), a("c.test.", "10.0.0.3")],
        }
      : NOTHING,
  );
  assert.equal(await seen(), "10.0.0.1:80/3 10.0.0.1:81/1 0");
  await registry.setHealth("web/10.0.0.1:80", "unhealthy", "", "check");
  assert.equal(await seen(), "10.0.0.1:80/3 10.0.0.1:81/1 0");
  await registry.setHealth("web/10.0.0.1:81", "unhealthy", "", "check");
  assert.equal(await seen(), "10.0.0.1:80/3 10.0.0.1:81/1 10.0.0.3:80/1 0");
  await registry.setHealth("web/10.0.0.1:80", "healthy", "", "check");
  assert.equal(await seen(), "10.0.0.1:80/3 10.0.0.1:81/1 0");
  await registry.close();
});

test("names in other forms: _web._tcp, addresses with the url's port, targets whose addresses have to be asked for", async () => {
  const { registry, seen } = await open(({ name, type }) => {
    if (name === "_api._tcp.test." && type === TYPE.SRV) return { answers: [srv(name, 0, 1, 90, "t.test.")] };
    if (name === "t.test." && type === TYPE.A) return { answers: [a(name, "10.0.0.4"), a(name, "10.0.0.5")] };
    if (name === "old.test." && type === TYPE.A) return { answers: [a(name, "10.0.0.6")] };
    if (name === "off.test." && type === TYPE.SRV) return { answers: [srv(name, 0, 0, 0, ".")] };
    return NOTHING;
  }, "?port=8080&protocol=http1");
  assert.equal(await seen("api"), "10.0.0.4:90/1 10.0.0.5:90/1 0");
  assert.equal(await seen("old"), "10.0.0.6:8080/1 0");
  assert.equal(await seen("off"), "0", "a target of . says that there is none (RFC 2782)");
  assert.equal(await seen("none"), "0");
  assert.equal((await registry.query(["*"])).endpoints.length, 3, "what was asked for belongs to all");
  await registry.close();
});

test("what cannot be: another mode, a url that is none, no server at the start", async () => {
  const refused = (url: string, mode: "available" | "consistent" = "available") =>
    openDnsRegistry({ url, mode }).then(
      () => assert.fail(url),
      ({ reason, message }) => `${reason} ${message}`,
    );
  assert.match(await refused("dns://10.0.0.1/test", "consistent"), /^MODE_NOT_SUPPORTED/);
  for (const [url, text] of [
    ["dns://10.0.0.1", /it looks like/],
    ["dns:///test", /an address is/],
    ["dns://10.0.0.1:0/test", /an address is/],
    ["dns://a b/test", /an address is/],
    ["dns://10.0.0.1/te%20st", /domain/],
    ["dns://10.0.0.1/test?service=web", /parameters are/],
    ["dns://10.0.0.1/test?services=Web", /DNS labels/],
    ["dns://10.0.0.1/test?refresh=0", /refresh/],
    ["dns://10.0.0.1/test?port=70000", /port/],
    ["dns://10.0.0.1/test?protocol=ftp", /protocol/],
    ["dns://1,2,3,4,5,6,7,8,9/test", /at most 8/],
  ] as const)
    assert.match(await refused(url), text, url);
  const clock = new VirtualClock();
  const { exchange } = scripted({ one: () => null });
  const opening = openDnsRegistry({ url: "dns://one/test?services=web", clock, exchange, openTimeoutMs: 3_000 });
  const outcome = opening.then(
    () => "opened",
    ({ reason }) => reason,
  );
  for (let i = 0; i < 8; i++) {
    await turns();
    clock.advance(1_000);
  }
  assert.equal(await outcome, "DNS_AWAY");
});
