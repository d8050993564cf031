import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDestination } from "./destination.ts";

const said = (authority: string): string => {
  const found = parseDestination(authority);
  if (found === null) return "unreadable";
  if (found.kind === "host") return `host ${found.host} ${found.port}`;
  return `${found.service} by ${found.follow}${found.certain ? "" : "?"} ${found.port}`;
};

for (const [authority, expected] of [
  ["orders.weft", "orders by orders 80"],
  ["orders.weft:50051", "orders by orders 50051"],
  ["ORDERS.WEFT.", "orders by orders 80"],
  ["v2.orders.weft", "orders@v2 by orders 80"],
  ["1.2.orders.weft", "orders@1.2 by orders 80"],
  ["orders", "orders by orders? 80"],
  ["orders:8080", "orders by orders? 8080"],
  ["counter.v1.Counter", "counter.v1.Counter by counter.v1.Counter? 80"],
  ["api.example.com", "host api.example.com 80"],
  ["localhost:3000", "host localhost 3000"],
  ["127.0.0.1:3000", "host 127.0.0.1 3000"],
  ["[::1]:3000", "host ::1 3000"],
  ["10", "host 10 80"],
  ["weft", "weft by weft? 80"],
  ["-x.weft", "host -x.weft 80"],
  ["orders.weft:0", "unreadable"],
  ["orders.weft:70000", "unreadable"],
  ["a b", "unreadable"],
  ["user@orders.weft", "unreadable"],
  ["", "unreadable"],
] as const) {
  test(`${authority || "nothing"} is ${expected}`, () => assert.equal(said(authority), expected));
}
