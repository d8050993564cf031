import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../core/clock.ts";
import { WeftError } from "../../core/errors.ts";
import { EtcdSession } from "./etcd-session.ts";

test("what is asked of a session that has failed already is told so, rather than waited for", async () => {
  const ended: WeftError[] = [];
  const onEnd = (failure: WeftError): void => void ended.push(failure);
  const session = new EtcdSession({ address: "127.0.0.1:1", login: null, tls: null, clock: systemClock, onEnd });
  const failure = new WeftError("unavailable", "the connection broke");
  session.fail(failure);
  const key = Buffer.from("a");
  await assert.rejects(
    session.watch({ key, rangeEnd: key, from: 1 }, () => {}),
    failure,
  );
  await assert.rejects(session.keepAlive(1n), failure);
  await assert.rejects(session.kv.range({ key }), failure);
  assert.deepEqual(ended, [failure]);
});
