import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import type { RevisionStore, StoredRevision } from "./revision-store.ts";

/** What a driver gives the suite. */
export interface RevisionStoreHarness {
  /** A store without revisions. */
  open(): Promise<RevisionStore>;
  /** The same store, as another control plane sees it. Left out where one process alone may have it. */
  openAnother?(): Promise<RevisionStore>;
  /** How long a revision may take until a watch tells of it, ms. Default 5,000. */
  watchMs?: number;
  /** What it cannot do: a line each that says why. */
  skip?: { readonly retain?: string };
}

/** The contract of RevisionStore: every driver's tests call it. `name` begins the names of its tests. */
export function revisionStoreCases(name: string, harness: () => Promise<RevisionStoreHarness>): void {
  const within = (
    what: string,
    body: (store: RevisionStore, another: RevisionStore, made: RevisionStoreHarness) => Promise<void>,
  ) =>
    test(`${name}: ${what}`, async (context) => {
      const made = await harness();
      const why = what.includes("dropped") ? made.skip?.retain : undefined;
      if (why !== undefined) return context.skip(why);
      const store = await made.open();
      const another = (await made.openAnother?.()) ?? store;
      try {
        await body(store, another, made);
      } finally {
        await store.close();
        await another.close();
      }
    });

  within("before the first revision there is none", async (store) => {
    assert.equal(await store.head(), null);
    assert.equal(await store.newest(), null);
    assert.equal(await store.get(1), null);
    assert.deepEqual(await store.list(10, Number.MAX_SAFE_INTEGER), []);
    assert.deepEqual(await store.tags(), {});
    assert.equal(await store.append(revisionOf(2)), false, "a gap was appended");
  });

  within("its line is the same for whoever shares it, whatever is appended", async (store, another) => {
    await store.append(revisionOf(1));
    const line = await store.line();
    assert.match(line, /^[\x21-\x7e]{1,64}$/);
    assert.equal(await another.line(), line);
    await another.append(revisionOf(2));
    assert.equal(await store.line(), line);
  });

  within("what was appended is there for everybody, whole, the newest first", async (store, another) => {
    for (let number = 1; number <= 5; number++) assert.equal(await store.append(revisionOf(number)), true);
    sameRevision(await another.head(), revisionOf(5));
    const newest = await another.newest();
    assert.deepEqual([newest?.revision, newest?.author, newest?.reason], [5, "author 5", "reason 5"]);
    sameRevision(await another.get(2), revisionOf(2));
    assert.equal(await another.get(6), null);
    assert.equal(await another.get(0), null);
    const notes = await another.list(3, 5);
    assert.deepEqual(
      notes.map(({ revision, author, reason }) => [revision, author, reason]),
      [4, 3, 2].map((number) => [number, `author ${number}`, `reason ${number}`]),
    );
    assert.equal((await another.list(100, Number.MAX_SAFE_INTEGER)).length, 5);
    assert.deepEqual(await another.list(10, 1), []);
  });

  within("only the next number can be appended", async (store, another) => {
    await store.append(revisionOf(1));
    for (const number of [1, 3, 9]) assert.equal(await another.append(revisionOf(number)), false, String(number));
    assert.equal(await another.append(revisionOf(2)), true);
    assert.equal(await store.append({ ...revisionOf(2), author: "late" }), false);
    assert.equal((await store.head())?.author, "author 2");
  });

  within("of many that append at once exactly one is first, round after round", async (store, another) => {
    for (let number = 1; number <= 5; number++) {
      const tries = await Promise.all(
        Array.from({ length: 6 }, (_, i) =>
          (i % 2 ? store : another).append({ ...revisionOf(number), author: `writer ${i}` }),
        ),
      );
      const won = tries.flatMap((made, i) => (made ? [i] : []));
      assert.equal(won.length, 1, `revision ${number} was appended by ${won.length}`);
      assert.equal((await another.get(number))?.author, `writer ${won[0]}`);
      assert.equal((await store.head())?.revision, number);
    }
  });

  within("large contents are read as they were", async (store, another) => {
    const many = Array.from({ length: 800 }, (_, i) => {
      const text = createHash("sha512").update(`seed ${i}`).digest("base64").repeat(4);
      return { ...resourceOf(`large-${i}`), spec: { text, n: i, half: i / 2, flag: true, none: null, list: [1, "2"] } };
    });
    const large = { ...revisionOf(1), resources: JSON.stringify(many) };
    assert.equal(await store.append(large), true);
    sameRevision(await another.head(), large);
    const settings = JSON.stringify({ namespaces: { shop: namespaceOf({ limit: 5 }, 2) } });
    const next = { ...large, revision: 2, settings };
    assert.equal(await another.append(next), true);
    sameRevision(await store.head(), next);
    sameRevision(await store.get(1), large);
  });

  within("a watch tells the newest number, whoever appended it", async (store, another, { watchMs = 5_000 }) => {
    await store.append(revisionOf(1));
    const numbers: number[] = [];
    let look = (): void => {};
    const watch = another.watch((number) => {
      numbers.push(number);
      look();
    });
    assert.deepEqual(numbers, [], "called from inside watch()");
    const until = (number: number) =>
      new Promise<void>((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`${number} was not told, only ${numbers}`)), watchMs);
        look = () => {
          if (numbers.at(-1) !== number) return;
          clearTimeout(late);
          resolve();
        };
        look();
      });
    for (let number = 2; number <= 6; number++) await store.append(revisionOf(number));
    await until(6);
    assert.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
    );
    await another.append(revisionOf(7));
    await until(7);
    const told = numbers.length;
    watch.close();
    await store.append(revisionOf(8));
    assert.equal(numbers.length, told);
  });

  within("tags name revisions, move, and are taken away", async (store, another) => {
    for (let number = 1; number <= 3; number++) await store.append(revisionOf(number));
    await store.tag("stable", 2);
    await another.tag("v1.0", 1);
    assert.deepEqual({ ...(await another.tags()) }, { stable: 2, "v1.0": 1 });
    await another.tag("stable", 3);
    await store.tag("v1.0", 0);
    await store.tag("never-there", 0);
    assert.deepEqual({ ...(await store.tags()) }, { stable: 3 });
    const unknown = { code: "not_found", reason: "UNKNOWN_REVISION" };
    await assert.rejects(store.tag("stable", 9), unknown);
    for (const bad of ["", "41", "-a", "a b", "a/b", "a..b", "a.", "x".repeat(64)])
      await assert.rejects(store.tag(bad, 1), { code: "invalid_argument", reason: "BAD_TAG" }, JSON.stringify(bad));
    assert.deepEqual({ ...(await another.tags()) }, { stable: 3 });
  });

  within("tags that are given at once are all kept", async (store, another) => {
    await store.append(revisionOf(1));
    await Promise.all(Array.from({ length: 6 }, (_, i) => (i % 2 ? store : another).tag(`tag-${i}`, 1)));
    assert.equal(Object.keys(await store.tags()).length, 6);
  });

  within("old revisions are dropped, but not the newest and those with tags", async (store, another) => {
    for (let number = 1; number <= 8; number++) await store.append(revisionOf(number));
    await store.tag("stable", 2);
    assert.equal(await another.retain(3), 4);
    assert.equal(await another.retain(3), 0);
    const kept = await store.list(100, Number.MAX_SAFE_INTEGER);
    assert.deepEqual(
      kept.map(({ revision }) => revision),
      [8, 7, 6, 2],
    );
    assert.equal(await store.get(3), null);
    sameRevision(await store.get(2), revisionOf(2));
    sameRevision(await store.head(), revisionOf(8));
    await assert.rejects(store.tag("gone", 3), { reason: "UNKNOWN_REVISION" });
    assert.equal(await store.append(revisionOf(3)), false, "a number that was dropped was appended again");
    assert.equal(await store.append(revisionOf(9)), true);
    await store.tag("stable", 0);
    assert.equal(await another.retain(3), 2);
    assert.equal(await store.get(2), null);
  });

  within("closed, it refuses everything", async (store) => {
    await store.append(revisionOf(1));
    await store.close();
    await store.close();
    const refused = { code: "unavailable", reason: "STORE_CLOSED" };
    await assert.rejects(store.head(), refused);
    await assert.rejects(store.newest(), refused);
    await assert.rejects(store.get(1), refused);
    await assert.rejects(store.list(1, 2), refused);
    await assert.rejects(store.append(revisionOf(2)), refused);
    await assert.rejects(store.tags(), refused);
    await assert.rejects(store.tag("a", 1), refused);
    await assert.rejects(store.retain(1), refused);
    assert.throws(() => store.watch(() => {}), refused);
  });
}

function revisionOf(revision: number): StoredRevision {
  return {
    revision,
    author: `author ${revision}`,
    reason: `reason ${revision}`,
    publishedMs: 1_700_000_000_000 + revision * 1_000,
    changes: [`HTTPRoute route-${revision}`],
    resources: JSON.stringify([resourceOf(`route-${revision}`), resourceOf("always")]),
    settings: JSON.stringify({
      namespaces: { shop: namespaceOf({ limit: revision, name: "täglich\n ", none: null }, revision) },
    }),
  };
}

function resourceOf(name: string): Record<string, unknown> {
  const spec = { parentRefs: [{ name: "gateway" }], hostnames: ["a.example", "*.b"], rules: [] };
  return { apiVersion: "gateway.networking.k8s.io/v1", kind: "HTTPRoute", metadata: { name }, spec };
}

function namespaceOf(values: Record<string, unknown>, revision: number): unknown {
  const entry = (value: unknown) => ({ value, revision, author: `author ${revision}`, atMs: 1_700_000_000_000 });
  const entries = Object.entries(values).map(([key, value]) => [key, entry(value)]);
  return { revision, values: Object.fromEntries(entries), schema: null, grays: [] };
}

/** What a person reads of it, and what it holds: stores may write JSON in their own way, and find out by themselves what changed. */
function sameRevision(found: StoredRevision | null, expected: StoredRevision): void {
  assert.ok(found);
  const { revision, author, reason, publishedMs } = found;
  assert.deepEqual(
    {
      revision,
      author,
      reason,
      publishedMs,
      resources: JSON.parse(found.resources),
      settings: JSON.parse(found.settings),
    },
    {
      revision: expected.revision,
      author: expected.author,
      reason: expected.reason,
      publishedMs: expected.publishedMs,
      resources: JSON.parse(expected.resources),
      settings: JSON.parse(expected.settings),
    },
  );
}
