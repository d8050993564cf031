import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { Level } from "../resource/level.ts";
import { resolvePolicy } from "./effective-policy.ts";

test("a resolved policy is an object whose fields are found at fixed places, however many there are", () => {
  setFlagsFromString("--allow-natives-syntax");
  const isFast = new Function("object", "return %HasFastProperties(object)") as (object: unknown) => boolean;
  const spec = { timeout: "1s", retry: { attempts: 1 } } as const;
  assert.ok(isFast(resolvePolicy([])));
  assert.ok(isFast(resolvePolicy([{ level: Level.service, source: "TrafficPolicy a", spec }])));
});
