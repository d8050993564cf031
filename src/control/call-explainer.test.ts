import assert from "node:assert/strict";
import { test } from "node:test";
import { AnswerSchema, ExplainCallRequestSchema } from "../contract/gen/weft/control/v1/control.ts";
import { create } from "../contract/runtime.ts";
import { createCallExplainer } from "./call-explainer.ts";
import type { Session } from "./session.ts";

function session(process: string, decisionChars: number, settled?: Promise<void>): Session {
  const decisions = [{ request: "GET /", startedMs: 0, decision: "x".repeat(decisionChars) }];
  return {
    hello: { process, node: "n" },
    leaseIds: () => [],
    findDecisions: async () => {
      await settled;
      return create(AnswerSchema, { questionId: 1n, decisions });
    },
  } as unknown as Session;
}

const asked = create(ExplainCallRequestSchema, { requestId: "id" });

test("what all processes say of a call is bounded together", async () => {
  const sessions = Array.from({ length: 12 }, (_, i) => session(`p-${i}`, 4_000_000));
  const { processes = [], silent = [] } = await createCallExplainer(sessions)(asked);
  const chars = processes.flatMap(({ decisions = [] }) => decisions.map(({ decision = "" }) => decision.length));
  assert.ok(chars.reduce((sum, length) => sum + length, 0) <= 16_777_216);
  assert.equal(processes.length + silent.length, 12);
  assert.ok(processes.length > 0 && silent.length > 0);
});

test("only so many calls are explained at a time", async () => {
  let go = (): void => {};
  const settled = new Promise<void>((resolve) => {
    go = resolve;
  });
  const explain = createCallExplainer([session("p", 1, settled)]);
  const open = Array.from({ length: 8 }, () => explain(asked));
  await assert.rejects(explain(asked), { reason: "TOO_MANY_QUESTIONS" });
  go();
  await Promise.all(open);
  assert.equal((await explain(asked)).processes?.length, 1);
});
