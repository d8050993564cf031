import assert from "node:assert/strict";
import { test } from "node:test";
import { traffic } from "../../src/policy/builders.ts";
import { http, TestCall } from "../../src/policy/machine/call.case.ts";
import { eventually, type Process, registrationOf, World } from "./world.ts";

const TO_PAYMENTS = { service: "payments", place: "client" } as const;

/** One call of a process, answered with `status`; what the caller got. */
function call({ policy }: Process, status: number): string {
  const made = new TestCall(policy, performance.now()).begin(http("POST", "/pay"), TO_PAYMENTS);
  if (!made.call.ended) made.head(1, status);
  const { reason } = made.call.decision.outcome;
  policy.release(made.call);
  return reason;
}

test("a breaker of the fleet: one process alone trips nobody, several open it for all, one probe closes it for all", async (t) => {
  const world = new World();
  t.after(() => world.close());
  const policy = traffic("payments")
    .retry(0)
    .breaker({ scope: "fleet", consecutiveFailures: 5, sleep: "1s", window: "10s" });
  await world.startInMemory({
    resources: { text: JSON.stringify(policy.resources()[0]), source: "test", author: "test", reason: "" },
  });
  const processes = [1, 2, 3].map((n) => world.link({ process: `orders-${n}` }));
  await processes[0].link.register(registrationOf("payments", 1));
  for (const { link } of processes) await link.subscribe("payments");
  const [bad, second, third] = processes;
  const word = ({ policy }: Process) => [...policy.quorumBreakers()][0]?.state;

  // One process fails, the others are fine: nothing opens, not even for itself.
  for (const process of [second, third]) assert.equal(call(process, 200), "");
  const voters = ({ policy }: Process) => [...policy.quorumBreakers()][0]?.voters(performance.now());
  // From when each knows of the others: before, a process is alone.
  let until = Number.POSITIVE_INFINITY;
  await eventually(
    () => {
      call(bad, 503);
      for (const process of [second, third]) call(process, 200);
      if (until === Number.POSITIVE_INFINITY && processes.every((process) => voters(process) === 3))
        until = performance.now() + 1_100;
      return performance.now() > until;
    },
    "some rounds",
    10_000,
  );
  assert.equal(call(bad, 503), "");
  assert.deepEqual(processes.map(word), ["closed", "closed", "closed"]);

  // A second one fails too: with two of three it opens, for the third as well, which saw nothing wrong.
  await eventually(() => {
    for (const process of [bad, second]) call(process, 503);
    return call(third, 200) === "BREAKER_OPEN";
  }, "the third to hear of it");

  const refused = new TestCall(third.policy, performance.now()).begin(http("POST", "/pay"), TO_PAYMENTS);
  assert.match(JSON.stringify(refused.call.decision), /open \(by the evidence of the fleet, 3 processes\)/);

  // After the sleep exactly one process may probe; its success closes it for all.
  await eventually(() => processes.every((process) => word(process) === "half-open"), "half-open");
  const tried = processes.flatMap((process) => [0, 1, 2].map(() => call(process, 200)));
  assert.equal(tried.filter((reason) => reason === "").length, 1, tried.join());
  await eventually(() => processes.every((process) => word(process) === "closed"), "closed for all");
  for (const process of processes) assert.equal(call(process, 200), "");
});
