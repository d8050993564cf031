import assert from "node:assert/strict";
import { test } from "node:test";
import { networkOf } from "./network-of.ts";

test("addresses of one IPv6 network of 64 bits are one, those of IPv4 each their own", () => {
  for (const [address, network] of [
    ["127.0.0.1:5000", "127.0.0.1"],
    ["10.0.0.7", "10.0.0.7"],
    ["::ffff:10.0.0.7", "10.0.0.7"],
    ["[::ffff:10.0.0.7]:80", "10.0.0.7"],
    ["2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"],
    ["[2001:0DB8:1:2::9]:443", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["[fe80::1%eth0]:1", "fe80:0:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["", ""],
  ])
    assert.equal(networkOf(address), network, address);
});
