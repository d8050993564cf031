import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Action, judgeHistory, type Operation } from "./linearizability.ts";

/** "a 1-4 write 1": client a, from 1 to 4 ("?" for what nobody knows the end of). */
function history(...lines: string[]): Operation[] {
  return lines.map((line) => {
    const [client, span, kind, ...rest] = line.split(" ");
    const [invoked, returned] = span.split("-");
    const [first, second, done] = rest.map((text) => (text === "null" ? null : text));
    const action: Action =
      kind === "read" || kind === "write"
        ? { kind, value: first }
        : kind === "take"
          ? { kind: "take away", value: String(first) }
          : { kind: "compare and set", expected: first, value: second, done: done === "done" };
    return { key: "k", client, invoked: Number(invoked), returned: returned === "?" ? null : Number(returned), action };
  });
}

const good: Record<string, string[]> = {
  "nothing at all": [],
  "one after the other": ["a 1-2 write 1", "b 3-4 read 1", "a 5-6 write 2", "b 7-8 read 2"],
  "a read beside a write may see it or not": ["a 1-6 write 1", "b 2-3 read null", "c 4-5 read 1"],
  "two writes at once, in either order": ["a 1-4 write 1", "b 2-3 write 2", "c 5-6 read 1"],
  "a write of unknown end that is seen late": ["a 1-? write 1", "b 2-3 read null", "b 8-9 read 1"],
  "a write of unknown end that is never seen": ["a 1-? write 1", "b 2-3 write 2", "b 4-5 read 2"],
  "a read of unknown end says nothing": ["a 1-? read 7", "b 2-3 read null"],
  "compare and set": ["a 1-2 write 1", "a 3-4 cas 1 2 done", "b 5-6 cas 1 3 not", "b 7-8 read 2"],
  "one of two compare and sets": ["a 1-4 cas null 1 done", "b 2-5 cas null 2 not", "b 6-7 read 1"],
  "a compare and set of unknown end": ["a 1-? cas null 1", "b 2-3 read null", "b 4-5 read 1", "b 6-7 cas 1 2 done"],
  "taken away, by whom it belonged to": ["a 1-2 write 1", "a 3-4 take 1", "b 5-6 read null"],
  "taken away too late": ["a 1-2 write 1", "b 3-4 write 2", "a 5-6 take 1", "b 7-8 read 2"],
};
const bad: Record<string, string[]> = {
  "an old value is read": ["a 1-2 write 1", "a 3-4 write 2", "b 5-6 read 1"],
  "a write that was acknowledged is lost": ["a 1-2 write 1", "b 3-4 read null"],
  "a value that nobody wrote": ["a 1-2 read 9"],
  "it goes back": ["a 1-8 write 1", "b 2-3 read 1", "c 4-5 read null"],
  "two see two orders": ["a 1-2 write 1", "b 1-2 write 2", "c 3-4 read 1", "d 5-6 read 2"],
  "both of two compare and sets are done": ["a 1-4 cas null 1 done", "b 2-5 cas null 2 done"],
  "a compare and set is refused though it was so": ["a 1-2 write 1", "b 3-4 cas 1 2 not"],
  "a write of unknown end is seen, and gone again": ["a 1-? write 1", "b 2-3 read 1", "b 4-5 read null"],
  "a write of unknown end takes effect twice": [
    "a 1-? write 1",
    "b 2-3 read 1",
    "b 4-5 write 2",
    "b 6-7 read 2",
    "b 8-9 read 1",
  ],
  "a write is seen before it began": ["a 1-2 read 1", "b 3-4 write 1"],
  "taken away from another": ["a 1-2 write 1", "b 3-4 write 2", "a 5-6 take 1", "b 7-8 read null"],
  "taken away, and there again": ["a 1-2 write 1", "a 3-4 take 1", "b 5-6 read null", "b 7-8 read 1"],
};

for (const [what, lines] of Object.entries(good))
  test(`accepted: ${what}`, () => assert.deepEqual(judgeHistory(history(...lines)), { linearizable: true }));
for (const [what, lines] of Object.entries(bad)) {
  test(`refused: ${what}`, () => {
    const verdict = judgeHistory(history(...lines));
    assert.equal(verdict.linearizable, false);
    assert.match(verdict.linearizable ? "" : verdict.why, /register "k": .*has no place/);
  });
}

test("each register is judged by itself", () => {
  const other = history("a 1-2 write 1", "b 3-4 read null").map((operation, i) => ({ ...operation, key: `k${i}` }));
  assert.deepEqual(judgeHistory(other), { linearizable: true });
});

/** What happened to a real register: each operation takes effect at a moment within its span, or (of unknown end) at any later one, or never. */
const run = fc.array(
  fc.record({
    client: fc.integer({ min: 0, max: 3 }),
    action: fc.constantFrom("read", "write", "cas", "take"),
    guess: fc.integer({ min: 0, max: 6 }),
    wait: fc.integer({ min: 0, max: 3 }),
    before: fc.integer({ min: 0, max: 20 }),
    after: fc.integer({ min: 0, max: 20 }),
    unknown: fc.constantFrom(false, false, false, "done", "late", "never"),
  }),
  { maxLength: 24 },
);

function happened(steps: typeof run extends fc.Arbitrary<infer Steps> ? Steps : never): Operation[] {
  const moments: { at: number; act: () => void }[] = [];
  const made: { operation: Operation }[] = [];
  let state: string | null = null;
  let at = 0;
  for (const [number, step] of steps.entries()) {
    at += step.wait * 10;
    const invoked = at + number / 1_000;
    const late = step.unknown === "late" ? 60 : 0;
    const effect = invoked + step.before + 0.0001;
    const returned = step.unknown === false ? effect + step.after + 0.0001 : null;
    const operation = (action: Action): Operation => ({
      key: "k",
      client: `c${step.client}`,
      invoked,
      returned,
      action,
    });
    const slot = { operation: operation({ kind: "read", value: null }) };
    made.push(slot);
    const act = (): void => {
      const done = step.unknown !== "never";
      const guess = step.guess === 0 ? null : `v${step.guess}`;
      const value = `v${number + 1}`;
      if (step.action === "read") slot.operation = operation({ kind: "read", value: state });
      else if (step.action === "write") {
        slot.operation = operation({ kind: "write", value });
        if (done) state = value;
      } else if (step.action === "cas") {
        const so = state === guess;
        slot.operation = operation({ kind: "compare and set", expected: guess, value, done: so });
        if (done && so) state = value;
      } else {
        slot.operation = operation({ kind: "take away", value: guess ?? "none" });
        if (done && state === guess) state = null;
      }
    };
    moments.push({ at: effect + late, act });
  }
  for (const { act } of moments.sort((a, b) => a.at - b.at)) act();
  return made.map(({ operation }) => operation);
}

test("what a real register did is accepted", () => {
  fc.assert(
    fc.property(run, (steps) => judgeHistory(happened(steps)).linearizable),
    { numRuns: 400 },
  );
});

test("it agrees with who tries every order", () => {
  const small = fc.array(
    fc.record({
      kind: fc.constantFrom("read", "write", "cas", "take"),
      one: fc.constantFrom(null, "1", "2"),
      two: fc.constantFrom(null, "1", "2"),
      done: fc.boolean(),
      invoked: fc.integer({ min: 0, max: 12 }),
      takes: fc.constantFrom(1, 3, 6, null),
    }),
    { maxLength: 6 },
  );
  let refused = 0;
  fc.assert(
    fc.property(small, (steps) => {
      const operations = steps.map((step, i): Operation => {
        const { kind, one, two, done, invoked, takes } = step;
        const action: Action =
          kind === "read" || kind === "write"
            ? { kind, value: one }
            : kind === "take"
              ? { kind: "take away", value: one ?? "1" }
              : { kind: "compare and set", expected: one, value: two, done };
        return { key: "k", client: `c${i}`, invoked, returned: takes === null ? null : invoked + takes, action };
      });
      const verdict = judgeHistory(operations).linearizable;
      if (!verdict) refused++;
      assert.equal(verdict, byTrying(operations, null));
    }),
    { numRuns: 2_000 },
  );
  assert.ok(refused > 200, `only ${refused} were refused`);
});

/** The definition, word by word. */
function byTrying(left: readonly Operation[], state: string | null): boolean {
  if (left.every(({ returned }) => returned === null)) return true;
  const firstEnd = Math.min(...left.map(({ returned }) => returned ?? Number.POSITIVE_INFINITY));
  return left.some((operation) => {
    const { action, invoked, returned } = operation;
    if (invoked > firstEnd) return false;
    const rest = left.filter((other) => other !== operation);
    const unknown = returned === null;
    if (action.kind === "read") return (unknown || action.value === state) && byTrying(rest, state);
    if (action.kind === "write") return byTrying(rest, action.value);
    if (action.kind === "take away") return byTrying(rest, state === action.value ? null : state);
    const so = action.expected === state;
    if (!unknown && so !== action.done) return false;
    return byTrying(rest, so ? action.value : state);
  });
}
