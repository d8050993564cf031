import assert from "node:assert/strict";
import { BlockList } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { addressBytes, hostOfAddress, parseNetwork } from "./network.ts";

test("holds the addresses that Node's own BlockList holds", () => {
  const v4 = fc.ipV4();
  fc.assert(
    fc.property(v4, fc.integer({ min: 0, max: 32 }), v4, (base, length, address) => {
      const list = new BlockList();
      list.addSubnet(base, length, "ipv4");
      assert.equal(parseNetwork(`${base}/${length}`)?.has(address), list.check(address, "ipv4"));
      assert.ok(parseNetwork(`${base}/${length}`)?.has(base));
    }),
  );
  fc.assert(
    fc.property(fc.ipV6(), fc.integer({ min: 0, max: 128 }), fc.ipV6(), (base, length, address) => {
      const network = parseNetwork(`${base}/${length}`);
      if (addressBytes(base)?.length === 4 || addressBytes(address)?.length === 4) return; // mapped: judged as IPv4
      const list = new BlockList();
      list.addSubnet(base, length, "ipv6");
      assert.equal(network?.has(address), list.check(address, "ipv6"), `${base}/${length} ${address}`);
    }),
  );
});

test("an IPv4 address is the same however it is written, and no IPv6 address", () => {
  const network = parseNetwork("10.0.0.0/8");
  assert.deepEqual(
    ["10.1.2.3", "::ffff:10.1.2.3", "::ffff:a01:203", "11.0.0.1", "::1", "", "nonsense"].map((one) =>
      network?.has(one),
    ),
    [true, true, true, false, false, false, false],
  );
  assert.equal(parseNetwork("::/0")?.has("10.0.0.1"), false);
});

test("what is no network is refused", () => {
  for (const text of [
    "",
    "10.0.0.0/33",
    "10.0.0/8",
    "10.0.0.0/",
    "fd00::/129",
    "fe80::1%eth0",
    "10.0.0.0/8/8",
    "a",
    "10.0.0.0/-1",
  ]) {
    assert.equal(parseNetwork(text), undefined, text);
  }
});

test("addresses lose their ports", () => {
  assert.deepEqual(["10.0.0.1:80", "[::1]:80", "::1", "10.0.0.1", "unknown"].map(hostOfAddress), [
    "10.0.0.1",
    "::1",
    "::1",
    "10.0.0.1",
    "unknown",
  ]);
});
