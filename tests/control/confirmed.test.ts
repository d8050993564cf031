import assert from "node:assert/strict";
import { test } from "node:test";
import { type ControlPlane, startControlPlane } from "../../src/control/control-plane.ts";
import { systemClock } from "../../src/core/clock.ts";
import { systemRandom } from "../../src/core/random.ts";
import { openBackedRegistry } from "../../src/registry/backed-registry.ts";
import { endpointOf } from "../../src/registry/registry.case.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { SharedPlace } from "../../src/registry/shared-place.case.ts";

/** Two control planes over one place, of which the second does not hear of what the first puts there: as one that lags, at its worst. */
for (const mode of ["available", "consistent"] as const)
  test(`in the mode "${mode}" lists of a control plane that lags are ${mode === "consistent" ? "confirmed" : "of what is known"}`, async (t) => {
    const place = new SharedPlace(systemClock);
    place.coalesce = true;
    const registries: Registry[] = [];
    for (let i = 0; i < 2; i++)
      registries.push(
        await openBackedRegistry({ backend: place.backend(), mode, clock: systemClock, random: systemRandom }),
      );
    const plane: ControlPlane = await startControlPlane({
      registry: registries[1],
      consul: { port: 0 },
      health: { defaults: { kind: "ttl" } },
    });
    t.after(async () => {
      await plane.stop();
      await registries[0].close();
    });
    const endpoint = endpointOf("alpha", 1, { metadata: { tags: "blue" } });
    await registries[0].register(endpoint, 60_000);
    const admin = `http://${plane.address}/v1`;
    const consul = `http://127.0.0.1:${plane.consul?.port}/v1`;
    const lists: readonly [url: string, there: RegExp][] = [
      [`${admin}/services`, /"alpha-1"/],
      [`${consul}/catalog/services`, /"alpha":\["blue"\]/],
      [`${consul}/catalog/service/alpha`, /"alpha-1"/],
      [`${consul}/catalog/nodes`, /10\.0\.0\.1/],
      [`${consul}/catalog/node/10.0.0.1`, /"alpha-1"/],
      [`${consul}/health/service/alpha`, /"alpha-1"/],
      [`${consul}/health/node/10.0.0.1`, /alpha-1/],
      [`${consul}/health/state/any`, /alpha-1/],
    ];
    for (const [url, there] of lists) {
      const ask = async (query: string) => (await fetch(`${url}${query}`)).text();
      assert.equal(there.test(await ask("")), mode === "consistent", url);
      assert.equal(there.test(await ask(url.startsWith(admin) ? "?stale=true" : "?stale")), false, `${url}, stale`);
    }
  });
