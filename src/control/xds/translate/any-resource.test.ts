import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { anyResourceOf, KINDS } from "../../../policy/resource/any-resource.case.ts";
import type { Resource } from "../../../policy/resource/resources.ts";
import { encodeResource } from "./encode.ts";
import { type MeshDocument, meshDocuments } from "./mesh-documents.case.ts";

const anyResources = fc
  .array(
    fc.constantFrom(...KINDS).chain((kind) => anyResourceOf(kind)),
    { minLength: 1, maxLength: 6 },
  )
  .map((all) =>
    all
      .filter((one): one is Resource => one !== null)
      .map((one, i) => ({ ...one, metadata: { name: `${one.kind.toLowerCase()}-${i}` } }) as Resource),
  );

test("whatever resources say, every document is one that Envoy's API has", () => {
  fc.assert(
    fc.property(anyResources, (resources) => {
      for (const role of ["gateway", "sidecar", "client"] as const)
        for (const [typeUrl, name, document] of meshDocuments(resources, role))
          assert.equal(encodeResource(typeUrl, document).name, name);
    }),
    { numRuns: 40, seed: 7 },
  );
});

test("names of resources of a type are unique, and all that is named is there", () => {
  fc.assert(
    fc.property(anyResources, (resources) => {
      for (const role of ["gateway", "sidecar", "client"] as const) {
        const documents = meshDocuments(resources, role);
        const known = new Set(documents.map(keyOf));
        assert.equal(known.size, documents.length);
        for (const [typeUrl, , document] of documents)
          for (const need of encodeResource(typeUrl, document).needs)
            assert.ok(known.has(`${need.typeUrl} ${need.name}`), need.name);
      }
    }),
    { numRuns: 40, seed: 8 },
  );
});

function keyOf([typeUrl, name]: MeshDocument): string {
  return `${typeUrl} ${name}`;
}
