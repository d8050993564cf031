import assert from "node:assert/strict";
import { test } from "node:test";
import { iptablesRules, readIptables } from "./iptables-rules.ts";
import { nftRules, readNftTable } from "./nft-rules.ts";
import { assertPlan, type InterceptPlan } from "./plan.ts";

const PLAN: InterceptPlan = {
  outbound: 15_001,
  inbound: { port: 15_006, app: 8_080 },
  dns: 15_053,
  exemptGid: 1_337,
  exclude: ["10.9.0.0/16", "fd00::/8"],
  virtual: "127.80.0.0/16",
};

/** What matters of a rule: in which order they decide. */
function comments(text: string): string[] {
  return [...text.matchAll(/comment "([^"]+)"/g)].map(([, comment]) => comment);
}

test("the sidecar's own traffic is exempt first, and everything else of TCP goes to it last", () => {
  const ordered = [
    "exempt-gid 1337",
    "dns 15053",
    "dns 15053",
    "virtual 127.80.0.0/16",
    "exclude 10.9.0.0/16",
    "exclude fd00::/8",
    "outbound 15001",
    "inbound 8080 to 15006",
  ];
  assert.deepEqual(comments(nftRules(PLAN)), ordered);
  const of4 = comments(iptablesRules(PLAN, "ip"));
  assert.deepEqual(
    of4,
    ordered.filter((rule) => rule !== "exclude fd00::/8"),
  );
  assert.ok(!comments(iptablesRules(PLAN, "ip6")).some((rule) => rule.startsWith("virtual") || rule.includes("10.9")));
});

test("a virtual address is kept, and only its port is replaced", () => {
  assert.match(nftRules(PLAN), /ip daddr 127\.80\.0\.0\/16 counter dnat to :15001 /);
  assert.match(iptablesRules(PLAN, "ip"), /-d 127\.80\.0\.0\/16 .*DNAT --to-destination :15001$/m);
});

test("what is not asked for has no rule", () => {
  const rules = nftRules({ ...PLAN, inbound: null, dns: null, exclude: [] });
  assert.doesNotMatch(rules, /prerouting|dport 53/);
});

test("the table is replaced in one transaction, and read back with its counters", () => {
  const lines = nftRules(PLAN).split("\n");
  assert.deepEqual(lines.slice(0, 2), ["add table inet weft_intercept", "delete table inet weft_intercept"]);
  const listing = {
    nftables: [
      { metainfo: {} },
      { rule: { comment: "dns 53", expr: [{ match: {} }, { counter: { packets: 2, bytes: 9 } }] } },
      { rule: { comment: "dns 53", expr: [{ counter: { packets: 1, bytes: 9 } }] } },
      { rule: { expr: [{ accept: null }] } },
    ],
  };
  assert.deepEqual(readNftTable(JSON.stringify(listing)), [{ what: "dns 53", connections: 3 }]);
});

test("rules of iptables are read back", () => {
  const saved = `*nat\n:WEFT_OUTGOING - [0:0]\n[4:240] -A WEFT_OUTGOING -p tcp -m comment --comment "outbound 15001" -j REDIRECT --to-ports 15001\nCOMMIT\n`;
  assert.deepEqual(readIptables(saved), [{ what: "outbound 15001", connections: 4 }]);
  assert.equal(readIptables("*nat\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"), null);
});

test("plans that cannot be meant are refused with what is wrong", () => {
  const wrong: [Partial<InterceptPlan>, RegExp][] = [
    [{ outbound: 0 }, /--outbound must be a port/],
    [{ inbound: { port: 80, app: 80 } }, /are the same port/],
    [{ exemptGid: 0 }, /--exempt-gid/],
    [{ exclude: ["10.0.0.0/33"] }, /no address or network/],
    [{ exclude: ['10.0.0.0/8; flush ruleset"'] }, /no address or network/],
    [{ virtual: "fd00::/64" }, /must be an IPv4 network/],
  ];
  assert.doesNotThrow(() => assertPlan(PLAN));
  for (const [change, message] of wrong) assert.throws(() => assertPlan({ ...PLAN, ...change }), message);
});
