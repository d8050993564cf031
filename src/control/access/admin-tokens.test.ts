import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { VirtualClock } from "../../core/clock.ts";
import { ANY } from "../../settings/key-value.ts";
import { MemoryKeyValue } from "../../settings/memory-key-value.ts";
import { AdminTokens } from "./admin-tokens.ts";

const OPERATOR = "the operator's token of this test";

test("who can write into the store becomes nobody by it", async () => {
  const store = new MemoryKeyValue();
  const clock = new VirtualClock();
  const fresh = (operatorToken = OPERATOR) => new AdminTokens(store, clock, operatorToken);
  const { token, made } = await fresh().create("ada", "reader", 60);
  await fresh().grant("ci", "publisher");
  assert.equal((await fresh().find(token))?.role, "reader");
  assert.equal(await fresh().granted("ci"), "publisher");
  assert.deepEqual([await fresh("another").find(token), await fresh("another").granted("ci")], [null, null]);

  const key = `access/tokens/${made.id}`;
  const kept = JSON.parse(Buffer.from((await store.get(key))?.value ?? []).toString());
  const put = (at: string, value: object) => store.put(at, Buffer.from(JSON.stringify(value)), ANY);
  for (const change of [
    { role: "operator" },
    { expiresMs: kept.expiresMs + 1 },
    { code: undefined },
    { code: "0".repeat(64) },
  ]) {
    await put(key, { ...kept, ...change });
    assert.equal(await fresh().find(token), null, JSON.stringify(change));
  }
  const secret = "s".repeat(43);
  const own = {
    ...kept,
    id: "0123456789ab",
    role: "operator",
    digest: createHash("sha256").update(secret).digest("hex"),
  };
  await put("access/tokens/0123456789ab", own);
  assert.equal(await fresh().find(`weft-admin-0123456789ab.${secret}`), null);
  await put("access/tokens/0123456789ab", kept);
  assert.equal(await fresh().find(token.replace(made.id, "0123456789ab")), null, "nor by what stood elsewhere");
  await store.put("access/grants/web", (await store.get("access/grants/ci"))?.value ?? new Uint8Array(), ANY);
  assert.equal(await fresh().granted("web"), null);
  assert.deepEqual(
    (await fresh().grants()).map(({ service }) => service),
    ["ci"],
  );
});
