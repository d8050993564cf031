import assert from "node:assert/strict";
import { test } from "node:test";
import { rateLimit, traffic } from "../builders.ts";
import { Player } from "../replay/player.ts";
import { record } from "../replay/recording.case.ts";
import type { Resource } from "../resource/resources.ts";

const WORLDS: Readonly<Record<string, readonly Resource[]>> = {
  "a queue of calls in flight": rateLimit("products").inFlight(2, { queue: 2, maxWait: "60ms" }).resources(),
  "places that are waited for": rateLimit("products").allow(20).spaced("100ms").tell().resources(),
  "windows, costs and exceptions": rateLimit("products")
    .allow(5)
    .sliding()
    .byHeader("x-user")
    .except("user-1", 2)
    .cost({ methods: { "p.Products/Buy": 2 } })
    .resources(),
  "hot keys in shadow mode": rateLimit("products")
    .allow(30)
    .byHeader("x-user")
    .hot(0.2, 3, { minCalls: 5 })
    .shadow()
    .resources(),
  "a limit that the system shares and nobody answers for": rateLimit("products").allow(2).shared().resources(),
  "an adaptive limit": traffic("products")
    .concurrency("aimd", { enforcedBy: "caller", initial: 2, max: 3 })
    .resources(),
  admission: traffic("products")
    .admission({ priorities: [{ priority: 8, header: { name: "x-lane" } }] })
    .resources(),
};

for (const [what, resources] of Object.entries(WORLDS)) {
  test(`${what}: decisions come out again as they were`, () => {
    let refused = 0;
    for (let seed = 1; seed <= 5; seed++) {
      const player = new Player();
      for (const line of record({ resources, seed, redact: seed % 2 === 0 }, 150)) {
        if (line.t !== "call") player.state(line);
        else {
          const result = player.play(line);
          assert.deepEqual(JSON.parse(JSON.stringify(result?.decision)), line.decision);
          assert.equal(result?.diverged, false);
          if (line.decision.steps.some(({ verdict }) => verdict === "denied" || verdict === "shadow")) refused++;
        }
      }
    }
    if (what !== "admission") assert.ok(refused > 0);
  });
}
