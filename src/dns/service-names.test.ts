import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { endpoint } from "./endpoints.case.ts";
import { serviceNames } from "./service-names.ts";

test("every name stands below names that are there (RFC 8020), and every SRV target has its address", () => {
  const version = fc.constantFrom("", "v1", "V1", "1.2", "endpoint");
  const id = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,80}$/);
  const host = fc.constantFrom("127.0.0.1", "::1", "fe80::1%eth0", "host.example");
  const health = fc.constantFrom("healthy", "draining", "unhealthy");
  const protocol = fc.constantFrom("h2c", "h2", "http1");
  const weight = fc.oneof(fc.integer({ min: 1, max: 10_000 }), fc.double({ min: 0.001, max: 10_000, noNaN: true }));
  const any = fc.record({ version, id, host, health, protocol, weight });
  fc.assert(
    fc.property(fc.uniqueArray(any, { selector: (own) => own.id, maxLength: 12 }), (all) => {
      const names = serviceNames(
        "products",
        "weft.",
        all.map((own, n) => endpoint(n, own)),
        "",
      );
      for (const [name, node] of names) {
        const dot = name.indexOf(".");
        if (name !== "") assert.ok(names.has(dot < 0 ? "" : name.slice(dot + 1)), name);
        for (const { data, target, address } of node.srv) {
          const scaled = (data.bytes[2] << 8) | data.bytes[3];
          assert.ok(scaled >= 1 && scaled <= 10_000);
          if (address === null) continue;
          const own = names.get(target.suffixes[0].replace(".products.weft.", ""));
          assert.deepEqual(own?.srv.length, 1);
          assert.ok([...(own?.a ?? []), ...(own?.aaaa ?? [])].includes(address));
        }
      }
      const healthy = all.filter((own) => own.health === "healthy" && !own.host.includes("%"));
      assert.equal(names.get("")?.srv.length ?? 0, healthy.length);
    }),
  );
});
