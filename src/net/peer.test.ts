import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { test } from "node:test";
import { peerOf } from "./peer.ts";

/** What node:tls gives of a certificate that was verified. */
function identity(commonName: string | string[], names?: string): string {
  const certificate = { subject: { CN: commonName }, subjectaltname: names };
  const socket = { encrypted: true, authorized: true, getPeerCertificate: () => certificate } as unknown as Socket;
  return peerOf(socket).identity;
}

test("an identity of a service comes from a certificate's URI name alone", () => {
  assert.equal(identity("orders", "URI:spiffe://shop/orders"), "spiffe://shop/orders");
  assert.equal(identity("orders", "DNS:orders.example"), "orders");
  assert.equal(identity("spiffe://shop/orders"), "", "a common name is no SPIFFE id");
  assert.equal(identity("spiffe://shop/orders", "URI:spiffe://shop/a, URI:spiffe://shop/b"), "");
  assert.equal(identity("plain", 'DNS:"a, URI:spiffe://shop/orders"'), "plain", "nor is a part of another name");
  assert.equal(identity(["a", "spiffe://shop/orders"]), "");
});
