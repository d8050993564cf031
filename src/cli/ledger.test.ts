import assert from "node:assert/strict";
import { test } from "node:test";
import { createDirectClient } from "../call/direct.ts";
import { Admin } from "../contract/gen/weft/control/v1/control.ts";
import { startControlPlane } from "../control/control-plane.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { createMemoryRegistry } from "../drivers/memory/memory-registry.ts";
import { timeIn } from "./commands/ledger/revision-at.ts";
import { diffRevisions } from "./commands/ledger/revision-diff.ts";
import { weft } from "./weft.case.ts";

const OPERATOR = "operator-token-of-a-test-0123456789abcdef";
const route = (prefix: string) => ({
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "HTTPRoute",
  metadata: { name: "shop" },
  spec: { rules: [{ matches: [{ path: { type: "PathPrefix", value: prefix } }], backendRefs: [{ name: "orders" }] }] },
});
const policy = {
  apiVersion: "weftmesh.dev/v1",
  kind: "TrafficPolicy",
  metadata: { name: "orders" },
  spec: { targetRefs: [{ kind: "Service", name: "orders" }], timeout: "5s" },
};

test("history, differences, roll-backs, tags and what was decided then, from the command line", async (t) => {
  const plane = await startControlPlane({ registry: createMemoryRegistry(), identity: { operatorToken: OPERATOR } });
  t.after(() => plane.stop());
  const before = process.env.WEFT_OPERATOR_TOKEN;
  process.env.WEFT_OPERATOR_TOKEN = OPERATOR;
  t.after(() => {
    if (before === undefined) delete process.env.WEFT_OPERATOR_TOKEN;
    else process.env.WEFT_OPERATOR_TOKEN = before;
  });
  const run = (...args: string[]) => weft(...args, "--control", plane.address);
  const publish = (author: string, reason: string, ...resources: object[]) =>
    plane.publish({ text: JSON.stringify(resources), source: "x", author, reason });
  await publish("ada", "begin", route("/v1"));
  await publish("bob", "slower\nby far", route("/v2"), policy);
  const direct = createDirectClient(Admin, plane.address);
  t.after(() => direct.close());
  const set = (key: string, value: unknown) => ({
    namespace: "shop",
    change: { case: "set" as const, value: { key, json: JSON.stringify(value) } },
  });
  const metadata = { authorization: `Bearer ${OPERATOR}` };
  const sealed = { $sealed: "k1.AAAAAAAAAAAAAAAA.BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB" };
  await direct.client.publishSettings(
    { author: "eve", reason: "more", changes: [set("limit", 5), set("secret", sealed)] },
    { metadata },
  );

  const { stdout: listed } = await run("history");
  assert.match(listed, /^REVISION +WHEN +AUTHOR +TAGS|^REVISION +WHEN +AUTHOR/);
  assert.match(
    listed,
    /\n +3 {2}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}eve .*settings shop\/limit, settings shop\/secret +more\n/,
  );
  assert.match(listed, /\n +2 .*bob .*HTTPRoute shop, TrafficPolicy orders +slower\n/);
  assert.deepEqual(
    JSON.parse((await run("history", "--json", "--settings", "shop")).stdout).map(
      ({ revision }: { revision: number }) => revision,
    ),
    [3],
  );
  assert.match((await run("history", "--settings", "bank")).stdout, /no revision that is kept/);

  assert.match(
    (await run("diff", "2")).stdout,
    /~ HTTPRoute shop\n {4}- spec\.rules\[0\]\.matches\[0\]\.path\.value: \/v1\n {4}\+ spec.*: \/v2\n\+ TrafficPolicy orders added\n$/,
  );
  const settings = (await run("diff", "2..")).stdout;
  assert.match(settings, /settings\n {4}\+ shop\/limit: 5\n {4}\+ shop\/secret: \(sealed by k1\)\n$/);
  assert.doesNotMatch(settings + (await run("diff", "2..3", "--json")).stdout, /BBBB/);

  assert.match((await run("tag", "good", "1")).stdout, /revision 1 has the tag good/);
  assert.match((await run("diff", "good..3")).stdout, /revision 1 -> 3/);
  assert.match((await run("tag", "41", "1")).stderr, /cannot name a revision/);
  assert.match((await run("diff", "nope..3")).stderr, /no revision has the tag "nope"; tags: good/);

  const looked = await run("rollback", "good", "--dry-run");
  assert.match(looked.stdout, /- TrafficPolicy orders removed\n.*- shop\/limit: 5.*nothing was published\n$/s);
  assert.equal(plane.revision, 3);
  assert.match(
    (await run("rollback", "good", "--author", "ada")).stdout,
    /published revision 4, which holds what 1 held; in force at 0 of 0 data planes\n$/,
  );
  const now = await direct.client.getRevision({});
  assert.deepEqual(
    [now.author, now.reason, JSON.parse(now.resources).length, JSON.parse(now.settings)],
    ["ada", "rollback to revision 1 (good)", 1, { namespaces: {} }],
  );
  assert.match((await run("rollback", "1")).stdout, /all is as it was at revision 1 already/);
  assert.match((await run("rollback", "99")).stderr, /there is no revision 99/);
  assert.match((await run("tag", "good", "--delete")).stdout, /any more/);

  const then = await run("explain", "--path", "/v2/x", "--at", "2");
  assert.match(
    then.stdout,
    /under revision 2 by bob, .*: slower by far; endpoints, their load and contracts are those of now/,
  );
  assert.match(then.stdout, /revision 2/);
  assert.doesNotMatch(then.stdout, /NO_ROUTE|no route/);
  assert.match((await run("explain", "--path", "/v2/x")).stdout, /no route|NO_ROUTE|404/);
  assert.match((await run("explain", "--path", "/v2/x", "--at", "2001-01-01")).stderr, /no revision was in force then/);
  assert.match((await run("explain", "abc", "--at", "2")).stderr, /--at goes with a made-up call/);
});

test("what was in force at a time is what decides a call as of then, from the command line", async (t) => {
  let agoMs = 7_200_000;
  const clock: Clock = { ...systemClock, wallMs: () => Date.now() - agoMs };
  const plane = await startControlPlane({ registry: createMemoryRegistry(), clock });
  t.after(() => plane.stop());
  for (const [hours, path, author] of [
    [2, "/v1", "ada"],
    [1, "/v2", "bob"],
    [0, "/v3", "eve"],
  ] as const) {
    agoMs = hours * 3_600_000;
    await plane.publish({ text: JSON.stringify([route(path)]), source: "x", author, reason: `now ${path}` });
  }
  const explain = async (path: string, at: string) => {
    const { stdout, stderr } = await weft("explain", "--path", path, "--at", at, "--control", plane.address);
    return stdout + stderr;
  };
  const isoAgo = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();
  for (const [at, path, author] of [
    ["90m", "/v1", "ada"],
    ["119m", "/v1", "ada"],
    [isoAgo(61), "/v1", "ada"],
    ["59m", "/v2", "bob"],
    [isoAgo(5), "/v2", "bob"],
  ] as const) {
    const said = await explain(`${path}/x`, at);
    assert.match(said, new RegExp(`under revision \\d by ${author}, .*: now ${path};`), `${at}: ${said}`);
    assert.doesNotMatch(said, /no route|NO_ROUTE/, at);
    const other = path === "/v1" ? "/v2" : "/v3";
    assert.match(await explain(`${other}/x`, at), /no route|NO_ROUTE/, `${other} was not there ${at} ago`);
  }
  assert.match(await explain("/v1/x", "3h"), /no revision was in force then/);
});

test("items of lists that have names are compared by these", () => {
  const of = (refs: object[]) => ({
    resources: JSON.stringify([{ kind: "A", metadata: { name: "a" }, refs }]),
    settings: { namespaces: {} },
  });
  const one = of([
    { name: "x", weight: 1 },
    { name: "y", weight: 2 },
  ]);
  const other = of([{ name: "y", weight: 3 }, { name: "x", weight: 1 }, { name: "z" }]);
  const [{ fields }] = diffRevisions(one, other).resources;
  assert.deepEqual(fields, [
    { name: "refs[y].weight", before: 2, after: 3 },
    { name: "refs[z]", after: { name: "z" } },
  ]);
});

test("times are read as people write them", () => {
  const now = new Date(2026, 10, 21, 20, 30, 15).getTime();
  const at = (text: string) => timeIn(text, now);
  assert.equal(at("20:15:00"), new Date(2026, 10, 21, 20, 15, 0).getTime());
  assert.equal(at("20:30"), new Date(2026, 10, 21, 20, 30, 59, 999).getTime(), "the minute that has begun");
  assert.equal(at("21:00"), new Date(2026, 10, 20, 21, 0, 59, 999).getTime(), "yesterday's");
  assert.equal(at("90m"), now - 5_400_000);
  assert.equal(at("2026-11-21T10:00:00Z"), Date.UTC(2026, 10, 21, 10));
  assert.equal(at("stable"), null);
  for (const bad of ["25:00", "12:61", "2026-13-45", "5 apples"])
    assert.throws(() => at(bad), { reason: "BAD_USAGE" }, bad);
});
