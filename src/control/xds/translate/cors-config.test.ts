import assert from "node:assert/strict";
import { test } from "node:test";
import { route } from "../../../policy/builders.ts";
import { meshDocuments } from "./mesh-documents.case.ts";

test("where Envoy says an origin back it says that answers depend on it, so that no cache gives one page's to another", () => {
  const routes = (resources: Parameters<typeof meshDocuments>[0]): string =>
    JSON.stringify(meshDocuments(resources, "gateway"));
  const vary = '{"header":{"key":"vary","value":"origin"},"append_action":"APPEND_IF_EXISTS_OR_ADD"}';
  const open = route("/").to("products").cors("*").resources();
  assert.ok(routes(open).includes(vary));
  assert.ok(!routes(route("/").to("products").resources()).includes(vary));
});
