import assert from "node:assert/strict";
import { test } from "node:test";
import { askDnsServer } from "./dns-exchange.ts";

test("a server to which there is no way gives no answer, and ends no process", async () => {
  // To where all are no socket may be connected that has not asked to.
  const nowhere = { host: "255.255.255.255", port: 53 };
  for (const over of ["udp", "tcp"] as const)
    assert.equal(await askDnsServer(nowhere, new Uint8Array(20), over, 60_000), null);
});

test("a server whose name is not known gives no answer", async () => {
  const unknown = { host: "no such host", port: 53 };
  for (const over of ["udp", "tcp"] as const)
    assert.equal(await askDnsServer(unknown, new Uint8Array(20), over, 60_000), null);
});
