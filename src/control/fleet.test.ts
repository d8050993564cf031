import assert from "node:assert/strict";
import { test } from "node:test";
import type { MeetRequest } from "../contract/gen/weft/control/v1/fleet.ts";
import { VirtualClock } from "../core/clock.ts";
import { Fleet } from "./fleet.ts";

const meet = (fleet: Fleet, process: string, role: string) =>
  fleet.meet({ process, role, breakers: [] } as unknown as MeetRequest).peers;

test("processes of a role know how many they are, and those that are gone are forgotten", () => {
  const clock = new VirtualClock();
  const fleet = new Fleet(clock);
  assert.deepEqual(
    ["a", "b", "a", "c"].map((process) => meet(fleet, process, "gateway")),
    [1, 2, 2, 3],
  );
  clock.advance(6_000);
  assert.equal(meet(fleet, "b", "gateway"), 3);
  clock.advance(6_000);
  assert.equal(meet(fleet, "d", "gateway"), 2, "b and d");
});

test("names that somebody makes up fill no memory, and cost no time", () => {
  const clock = new VirtualClock();
  const fleet = new Fleet(clock);
  for (let role = 0; role < 21; role++) for (let i = 0; i < 10_000; i++) meet(fleet, `${role}-${i}`, `role ${role}`);
  assert.equal(meet(fleet, "late", "fresh"), 1);
  assert.equal(meet(fleet, "later", "fresh"), 1, "it is not counted: there are too many");
  clock.advance(11_000);
  assert.equal(meet(fleet, "late", "fresh"), 1);
  assert.equal(meet(fleet, "later", "fresh"), 2, "room was made by those that are gone");
});
