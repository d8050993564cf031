import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../core/clock.ts";
import { pinsOf } from "../core/control-pin.ts";
import { encodeJoinToken, readJoinToken } from "../core/join-token.ts";
import { TestAuthority } from "../net/identity.case.ts";
import { ControlSecurity, controlSecurityOf } from "./control-security.ts";

const shop = new TestAuthority();
const claims = { system: "shop", service: "orders", id: "x", expiresMs: 1, uses: 1 };
const pins = pinsOf(shop.trust);

test("a certificate is shown until it ends, and what is trusted stays", () => {
  const clock = new VirtualClock(1_000);
  const security = new ControlSecurity({
    address: "127.0.0.1:1",
    pin: { system: "shop", pins },
    trust: shop.trust,
    clock,
  });
  assert.equal(security.current.certificate, "");
  security.take({ ...shop.issue("orders"), notAfterMs: 5_000 });
  const { current } = security;
  assert.notEqual(current.certificate, "");
  assert.equal(security.current, current, "the same while nothing changes: contexts are kept by it");
  clock.advance(4_000);
  assert.deepEqual([security.current.certificate, security.current.privateKey], ["", ""]);
  assert.equal(security.current.trust, shop.trust);
});

test("a token leads to TLS by its digests, to plain text without them on this machine, and nowhere on another", () => {
  const secure = controlSecurityOf(encodeJoinToken({ ...claims, pins }, "secret"), "192.0.2.1:7070");
  assert.equal(secure?.system, "shop");
  assert.equal(secure?.direct(true).identity, "spiffe://shop/control");
  const bare = encodeJoinToken(claims, "secret");
  for (const address of ["127.0.0.1:7070", "127.9.9.9:7070", "[::1]:7070", "localhost:7070"])
    assert.equal(controlSecurityOf(bare, address), null);
  for (const address of ["192.0.2.1:7070", "control:7070", "127.0.0.1.example:7070", "localhost.example:7070"])
    assert.throws(() => controlSecurityOf(bare, address), { reason: "BAD_JOIN_TOKEN" });
  assert.throws(() => controlSecurityOf("nonsense", "127.0.0.1:7070"), { reason: "BAD_JOIN_TOKEN" });
});

test("digests in a token are as pinOf makes them, and at most as many as an authority has roots", () => {
  assert.deepEqual(readJoinToken(encodeJoinToken({ ...claims, pins }, "secret"))?.pins, pins);
  const many = Array.from({ length: 16 }, () => pins[0]);
  assert.equal(readJoinToken(encodeJoinToken({ ...claims, pins: many }, "secret"))?.pins.length, 16);
  for (const wrong of [["short"], [`${pins[0]}=`], [...many, pins[0]], [""]])
    assert.equal(readJoinToken(encodeJoinToken({ ...claims, pins: wrong }, "secret")), null);
});
