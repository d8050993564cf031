import assert from "node:assert/strict";
import { test } from "node:test";
import { codecOf } from "../../../contract/codec.ts";
import { RouteConfigurationSchema } from "../../../contract/gen/envoy/config/route/v3/route.ts";
import { route, traffic } from "../../../policy/builders.ts";
import { ROUTE } from "../types.ts";
import { EncodedHosts, encodeResource } from "./encode.ts";
import { meshDocuments } from "./mesh-documents.case.ts";

const decoded = (bytes: Uint8Array) => codecOf(RouteConfigurationSchema).decode(bytes, 0, bytes.byteLength);

test("routes whose hosts are encoded by themselves, and remembered, say the same", () => {
  const hosts = new EncodedHosts();
  for (const timeout of ["1s", "2s", "2s"]) {
    hosts.turn();
    const resources = [
      ...route("/a").host("a.test").to("products").resources(),
      ...route("/b").to("standby").resources(),
      ...traffic("products").timeout(timeout).retry(2).resources(),
    ];
    for (const role of ["gateway", "sidecar"] as const) {
      const documents = meshDocuments(resources, role).filter(([typeUrl]) => typeUrl === ROUTE);
      assert.ok(documents.length > 0);
      for (const [, name, document] of documents) {
        const whole = encodeResource(ROUTE, document);
        const made = hosts.resource(document);
        assert.deepEqual(decoded(made.bytes), decoded(whole.bytes), `${role} ${name} ${timeout}`);
        assert.deepEqual([made.name, made.typeUrl], [whole.name, whole.typeUrl]);
        const namesOf = (needs: typeof made.needs) => needs.map((need) => need.name).sort();
        assert.deepEqual(namesOf(made.needs), namesOf(whole.needs));
      }
    }
  }
});
