import assert from "node:assert/strict";
import { test } from "node:test";
import { objective } from "../objective/objective-builder.ts";
import { traffic } from "../resource/traffic-builder.ts";
import { checkSystem } from "./check-system.ts";

test("fields that act through a policy that nobody has written are told", () => {
  const promise = objective("orders")
    .availability(99.9)
    .shed({ below: 3 }, { pressure: 0.2 }, { methods: ["a.B/C"] });
  const alone = [...traffic("orders").fallback({ stale: true }).resources(), ...promise.resources()];
  const told = checkSystem(alone).filter(({ id }) => id === "doubtful-resource");
  assert.deepEqual(
    told.map(({ place }) => place.field),
    [
      "TrafficPolicy orders spec.fallback.stale",
      "Objective orders spec.shed[0].below",
      "Objective orders spec.shed[1].pressure",
    ],
  );
  const whole = [...alone, ...traffic("*").cache().admission().resources()];
  assert.deepEqual(
    checkSystem(whole).filter(({ id }) => id === "doubtful-resource"),
    [],
  );
});
