import assert from "node:assert/strict";
import { test } from "node:test";
import { Metadata } from "../call/metadata.ts";
import { Identity } from "../contract/gen/weft/control/v1/identity.ts";
import { toWeftError } from "../core/errors.ts";
import type { ServerRequest } from "../service/interceptor.ts";
import { refusePlainText } from "./plain-text.ts";

function ask(service: string, peer: { address: string; secure: boolean }, fields: string[] = [], allowed = false) {
  const told: string[] = [];
  const method = { ...Identity.methods[0], parent: { typeName: service } };
  const call = { peer: { localAddress: "", identity: "", ...peer }, requestHeaders: new Metadata(fields) };
  const answer = { message: {} };
  const handler = refusePlainText(allowed, (line) => told.push(line))(() => answer);
  try {
    assert.equal(handler({ method, call, message: {} } as unknown as ServerRequest), answer);
    return "answered";
  } catch (thrown) {
    assert.equal(told.length, 1);
    return toWeftError(thrown).reason;
  }
}

const IDENTITY = "weft.control.v1.Identity";
const SDS = "envoy.service.secret.v3.SecretDiscoveryService";
const ADS = "envoy.service.discovery.v3.AggregatedDiscoveryService";

test("plain text is for this machine; from elsewhere TLS alone, and secrets never otherwise", () => {
  for (const address of ["127.0.0.1:5", "127.8.0.1:5", "[::1]:5"])
    for (const service of [IDENTITY, SDS, ADS]) assert.equal(ask(service, { address, secure: false }), "answered");
  for (const address of ["192.0.2.7:5", "[fd00::1]:5", "unknown", "1270.0.0.1:5", "128.0.0.1:127"]) {
    for (const service of [IDENTITY, SDS, ADS]) {
      assert.equal(ask(service, { address, secure: true }), "answered");
      assert.equal(ask(service, { address, secure: false }), "PLAIN_TEXT_REFUSED");
    }
    assert.equal(ask(ADS, { address, secure: false }, [], true), "answered");
    assert.equal(ask(SDS, { address, secure: false }, [], true), "PLAIN_TEXT_REFUSED");
    assert.equal(ask(IDENTITY, { address, secure: false }, [], true), "PLAIN_TEXT_REFUSED");
    for (const name of ["x-weft-join-token", "authorization"])
      assert.equal(ask(ADS, { address, secure: false }, [name, "secret"], true), "PLAIN_TEXT_REFUSED");
  }
});
