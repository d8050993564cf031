import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { authentication, authorization, rateLimit } from "../policy/builders.ts";
import { scryptHash } from "../policy/security/scrypt.ts";
import type { PeerInfo } from "../wire/stream.ts";
import { startSecured } from "./secured.case.ts";
import { TrustedProxies } from "./trusted-proxies.ts";

const trusted = new TrustedProxies(["10.0.0.0/8", "fd00::/8", "192.0.2.1"]);
const clientOf = (text: string) => trusted.clientOf(text)?.address ?? null;

test("the client is the first address from the right that is not trusted, the last when all are", () => {
  assert.equal(clientOf("198.51.100.7"), "198.51.100.7:0");
  assert.equal(clientOf("6.6.6.6, 198.51.100.7,10.0.0.2 , fd00::9"), "198.51.100.7:0");
  assert.equal(clientOf("10.1.1.1, 10.0.0.2"), "10.1.1.1:0");
  assert.equal(clientOf("6.6.6.6, ::ffff:10.0.0.2"), "6.6.6.6:0");
  assert.equal(trusted.clientOf("6.6.6.6, 198.51.100.7, 10.0.0.2")?.chain, "198.51.100.7, 10.0.0.2");
});

test("addresses may have ports; what is no address ends what is known", () => {
  assert.equal(clientOf("198.51.100.7:4711"), "198.51.100.7:4711");
  assert.equal(clientOf("2001:db8::7"), "[2001:db8::7]:0");
  assert.equal(clientOf("[2001:db8::7]:4711"), "[2001:db8::7]:4711");
  for (const text of [
    "",
    "unknown",
    "_hidden",
    "1.2.3",
    "1.2.3.4:99999",
    "[::1",
    "fe80::1%eth0",
    ",",
    "1.2.3.4:x",
    "9".repeat(99),
  ])
    assert.equal(clientOf(text), null, text);
  assert.equal(clientOf("6.6.6.6, unknown, 10.0.0.2"), "10.0.0.2:0");
});

test("what the client writes itself never changes who it is", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary-ascii", maxLength: 80 }), fc.ipV4(), (claimed, client) => {
      const seen = trusted.clientOf(`${claimed}, 203.0.113.${client.length}, 10.0.0.2`);
      assert.equal(seen?.address, `203.0.113.${client.length}:0`);
    }),
  );
});

test("a row of trusted proxies without end is looked through so far", () => {
  assert.equal(clientOf(`6.6.6.6, ${Array(40).fill("10.0.0.2").join(", ")}`), "10.0.0.2:0");
});

test("peers are trusted by their address; a network that is none is refused", () => {
  const peer = (address: string): PeerInfo => ({ address, localAddress: "", secure: false, identity: "" });
  assert.ok(
    trusted.trusts(peer("10.2.3.4:80")) && trusted.trusts(peer("[fd00::1]:80")) && trusted.trusts(peer("192.0.2.1:1")),
  );
  assert.ok(!trusted.trusts(peer("192.0.2.2:1")) && !trusted.trusts(peer("unknown")));
  assert.throws(() => new TrustedProxies(["10.0.0.0/33"]), /"10.0.0.0\/33" is no network of trusted proxies/);
});

const get = (url: string, forwarded: string | null, more: Record<string, string> = {}) =>
  fetch(url, { headers: { ...(forwarded !== null && { "x-forwarded-for": forwarded }), ...more } });

test("behind a trusted load balancer, limits, rules and the log go by the client's address", async (t) => {
  const rules = authorization("shop")
    .deny({ networks: ["203.0.113.0/24"] })
    .allow({ networks: ["0.0.0.0/0"] });
  const limit = rateLimit("shop").allow(2, "1h").by("address");
  const world = await startSecured(t, [...rules.resources(), ...limit.resources()], {
    trustedProxies: ["127.0.0.0/8"],
  });
  assert.equal((await get(world.url, "203.0.113.9")).status, 403);
  assert.equal((await get(world.url, "198.51.100.1, 203.0.113.9, 127.0.0.5")).status, 403);
  for (const [client, status] of [
    ["198.51.100.1", 200],
    ["198.51.100.1", 200],
    ["198.51.100.1", 429],
    ["198.51.100.2", 200],
  ])
    assert.equal((await get(world.url, `6.6.6.6, ${client}`)).status, status);
  const sent = await get(world.url, "6.6.6.6, 198.51.100.2, 127.0.0.5", {
    "x-forwarded-proto": "https",
    "x-forwarded-host": "shop.example",
  });
  const seen = (await sent.json()) as Record<string, string>;
  assert.equal(seen["x-forwarded-for"], "198.51.100.2, 127.0.0.5, 127.0.0.1");
  assert.deepEqual([seen["x-forwarded-proto"], seen["x-forwarded-host"]], ["https", "shop.example"]);
  await world.gateway.stop(100);
  assert.match(world.logged(), /"peer":"198\.51\.100\.2:0"/);
});

test("a password that came over TLS to a trusted load balancer did not come in the clear", async (t) => {
  const password = scryptHash("open sesame", { N: 1024, r: 8, p: 1 });
  const staff = authentication("staff")
    .basic({ users: [{ name: "ali", password }] })
    .on("shop");
  const world = await startSecured(t, staff.resources(), { trustedProxies: ["127.0.0.1"] });
  const authorization = `Basic ${btoa("ali:open sesame")}`;
  const over = async (proto: string) =>
    (await get(world.url, null, { authorization, "x-forwarded-proto": proto })).status;
  assert.deepEqual([await over("https"), await over("http"), await over("wss")], [200, 401, 401]);
});

test("nobody else is believed", async (t) => {
  const rules = authorization("shop")
    .deny({ networks: ["203.0.113.0/24"] })
    .allow({ networks: ["127.0.0.0/8"] });
  const world = await startSecured(t, rules.resources(), { trustedProxies: ["10.0.0.0/8"] });
  const sent = await get(world.url, "203.0.113.9", { "x-forwarded-proto": "https" });
  assert.equal(sent.status, 200);
  const seen = (await sent.json()) as Record<string, string>;
  assert.deepEqual([seen["x-forwarded-for"], seen["x-forwarded-proto"]], ["127.0.0.1", "http"]);
});
