import assert from "node:assert/strict";
import { test } from "node:test";
import { ABSENT, ANY, type KeyValue, type KeyValueItem, keyValueLimits } from "./key-value.ts";

/** What a driver gives the suite. */
export interface KeyValueHarness {
  /** A store with nothing below "case", the first part of all of the suite's keys. */
  open(): Promise<KeyValue>;
  /** The same store, as another control plane sees it. Left out where one process alone may have it. */
  openAnother?(): Promise<KeyValue>;
  /** How long a change may take until a watch tells of it, ms. Default 5,000. */
  watchMs?: number;
}

/** The contract of KeyValue: every driver's tests call it. `name` begins the names of its tests. */
export function keyValueCases(name: string, harness: () => Promise<KeyValueHarness>): void {
  const within = (what: string, body: (store: KeyValue, another: KeyValue, watchMs: number) => Promise<void>) =>
    test(`${name}: ${what}`, async () => {
      const made = await harness();
      const store = await made.open();
      const another = (await made.openAnother?.()) ?? store;
      try {
        await body(store, another, made.watchMs ?? 5_000);
      } finally {
        await store.close();
        await another.close();
      }
    });

  within("what was put is there, for everybody, byte for byte", async (store, another) => {
    assert.equal(await store.get("case/one"), null);
    const version = await store.put("case/one", text("1"), ABSENT);
    assert.ok(version);
    assert.deepEqual(plain(await another.get("case/one")), { key: "case/one", value: "1", version });
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    await store.put("case/bytes", bytes, ANY);
    assert.deepEqual(Uint8Array.from((await another.get("case/bytes"))?.value ?? []), bytes);
    await store.put("case/empty", new Uint8Array(0), ANY);
    assert.equal((await another.get("case/empty"))?.value.byteLength, 0);
    const own = text("mine");
    const put = store.put("case/own", own, ANY);
    own.fill(0);
    await put;
    assert.equal(plain(await another.get("case/own"))?.value, "mine", "a value that its owner wrote to was taken");
  });

  within("a put compares: with a version, with nothing, with anything", async (store, another) => {
    const first = (await store.put("case/a", text("1"), ABSENT)) ?? "";
    assert.equal(await another.put("case/a", text("2"), ABSENT), null);
    assert.equal(await another.put("case/a", text("2"), "no-version"), null);
    assert.equal(await another.put("case/b", text("2"), first), null, "the version of another key counted");
    assert.equal(plain(await store.get("case/a"))?.value, "1");
    assert.equal(await store.get("case/b"), null);
    const second = await another.put("case/a", text("2"), first);
    assert.ok(second !== null && second !== first);
    assert.equal(await store.put("case/a", text("3"), first), null);
    const third = await store.put("case/a", text("3"), ANY);
    assert.ok(third !== null && third !== second);
    assert.deepEqual(plain(await another.get("case/a")), { key: "case/a", value: "3", version: third });
  });

  within("a delete compares, too", async (store, another) => {
    const first = (await store.put("case/a", text("1"), ANY)) ?? "";
    assert.equal(await another.delete("case/a", ABSENT), false);
    assert.equal(await another.delete("case/a", "no-version"), false);
    assert.ok(await store.get("case/a"));
    assert.equal(await another.delete("case/a", first), true);
    assert.equal(await store.get("case/a"), null);
    assert.equal(await store.delete("case/a", first), false);
    assert.equal(await store.delete("case/a", ANY), true);
    assert.equal(await store.delete("case/a", ABSENT), true);
    await store.put("case/a", text("2"), ABSENT);
    assert.equal(await another.delete("case/a", ANY), true);
    assert.equal(await store.get("case/a"), null);
  });

  within("a version is never given twice, also when the same value comes back", async (store) => {
    const first = (await store.put("case/a", text("1"), ANY)) ?? "";
    const again = (await store.put("case/a", text("1"), ANY)) ?? "";
    assert.notEqual(again, first);
    await store.delete("case/a", ANY);
    const back = (await store.put("case/a", text("1"), ABSENT)) ?? "";
    assert.ok(back !== first && back !== again);
    assert.equal(await store.put("case/a", text("2"), first), null);
    assert.equal(await store.delete("case/a", again), false);
    assert.equal(plain(await store.get("case/a"))?.value, "1");
  });

  within("what is below a prefix is listed by key, and nothing else", async (store, another) => {
    const keys = ["case/list/b", "case/list/a", "case/list/a/deep", "case/list-not", "case/list.not", "case/listing/x"];
    for (const key of [...keys, "case/list"]) await store.put(key, text(key), ANY);
    const below = ["case/list/a", "case/list/a/deep", "case/list/b"];
    assert.deepEqual(await another.keys("case/list"), below);
    const items = await another.list("case/list");
    assert.deepEqual(
      items.map(({ key, value }) => [key, Buffer.from(value).toString()]),
      below.map((key) => [key, key]),
    );
    assert.equal((await store.put("case/list/b", text("by the list's version"), items[2].version)) === null, false);
    assert.deepEqual(await another.keys("case/list/a"), ["case/list/a/deep"]);
    assert.deepEqual(await another.list("case/nothing"), []);
    await store.delete("case/list/a", ANY);
    assert.deepEqual(await another.keys("case/list"), ["case/list/a/deep", "case/list/b"]);
  });

  within("many keys are listed whole", async (store, another) => {
    const keys = Array.from({ length: 300 }, (_, i) => `case/many/${String(i).padStart(4, "0")}`);
    for (let at = 0; at < keys.length; at += 20)
      await Promise.all(keys.slice(at, at + 20).map((key) => store.put(key, text(key), ABSENT)));
    assert.deepEqual(await another.keys("case/many"), keys);
    assert.equal((await another.list("case/many")).length, keys.length);
  });

  within("a watch tells what is there, and then the newest after every change", async (store, another, watchMs) => {
    const seen = new Seen(watchMs);
    const watch = another.watch("case/w", seen.take);
    await seen.until((values) => values.length === 1 && values[0] === null);
    await store.put("case/w", text("1"), ANY);
    await seen.until((values) => values.at(-1) === "1");
    await store.put("case/other", text("x"), ANY);
    await store.put("case/w/deeper", text("x"), ANY);
    for (let i = 2; i <= 20; i++) await store.put("case/w", text(String(i)), ANY);
    await seen.until((values) => values.at(-1) === "20");
    const numbers = seen.values.slice(1).map(Number);
    assert.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
      "changes were told out of order",
    );
    await store.delete("case/w", ANY);
    await seen.until((values) => values.at(-1) === null);
    const later = new Seen(watchMs);
    await store.put("case/w", text("back"), ANY);
    another.watch("case/w", later.take);
    await later.until((values) => values.at(-1) === "back");
    await seen.until((values) => values.at(-1) === "back");
    watch.close();
    watch.close();
    const told = seen.values.length;
    await store.put("case/w", text("after"), ANY);
    await later.until((values) => values.at(-1) === "after");
    assert.equal(seen.values.length, told, "a watch told of a change after it was closed");
  });

  within("a listener is never called from inside watch()", async (store, another, watchMs) => {
    await store.put("case/w", text("1"), ANY);
    const seen = new Seen(watchMs);
    another.watch("case/w", seen.take);
    assert.deepEqual(seen.values, []);
    await seen.until((values) => values.length === 1);
  });

  within("of many that compare with the same, exactly one wins, round after round", async (store, another) => {
    let version = ABSENT;
    for (let round = 0; round < 10; round++) {
      const tries = await Promise.all(
        Array.from({ length: 10 }, (_, i) =>
          (i % 2 ? store : another).put("case/race", text(`${round}.${i}`), version),
        ),
      );
      const won = tries.flatMap((made, i) => (made === null ? [] : [{ made, i }]));
      assert.equal(won.length, 1, `round ${round} was won by ${won.length}`);
      const item = await another.get("case/race");
      assert.deepEqual(plain(item), { key: "case/race", value: `${round}.${won[0].i}`, version: won[0].made });
      version = won[0].made;
    }
    const gone = await Promise.all([store, another, store, another].map((by) => by.delete("case/race", version)));
    assert.equal(gone.filter(Boolean).length, 1);
  });

  within("counters that are raised by compare-and-set lose nothing", async (store, another) => {
    const raise = async (by: KeyValue): Promise<void> => {
      for (;;) {
        const item = await by.get("case/counter");
        const next = text(String(Number(plain(item)?.value ?? "0") + 1));
        if ((await by.put("case/counter", next, item?.version ?? ABSENT)) !== null) return;
      }
    };
    await Promise.all(Array.from({ length: 12 }, (_, i) => raise(i % 2 ? store : another)));
    assert.equal(plain(await store.get("case/counter"))?.value, "12");
  });

  within("what is malformed or too large is refused, and changes nothing", async (store) => {
    const bad = [
      "",
      "/",
      "/a",
      "a/",
      "a//b",
      "a b",
      "ä",
      "a\n",
      ".",
      "case/..",
      "a/../b",
      "x".repeat(129),
      "a/b/c/d/e/f/g/h/i",
    ];
    for (const key of bad) {
      const refused = { code: "invalid_argument", reason: "BAD_KEY" };
      await assert.rejects(async () => store.get(key), refused, JSON.stringify(key));
      await assert.rejects(async () => store.put(key, text("x"), ANY), refused);
      await assert.rejects(async () => store.delete(key, ANY), refused);
      await assert.rejects(async () => store.list(key), refused);
      await assert.rejects(async () => store.keys(key), refused);
      await assert.rejects(async () => void store.watch(key, () => {}), refused);
    }
    const good = ["case", `case/${"x".repeat(128)}`, "case/b/c/d/e/f/g/h", "case/A-Z_0.9", "case/-", "case/..."];
    for (const key of good) {
      assert.ok(await store.put(key, text("x"), ANY), key);
      assert.ok(await store.get(key), key);
      await store.delete(key, ANY);
    }
    const most = new Uint8Array(keyValueLimits.maxValueBytes).fill(7);
    await store.put("case/large", most, ANY);
    assert.deepEqual(Uint8Array.from((await store.get("case/large"))?.value ?? []), most);
    await assert.rejects(store.put("case/large", new Uint8Array(keyValueLimits.maxValueBytes + 1), ANY), {
      code: "invalid_argument",
      reason: "VALUE_TOO_LARGE",
    });
    assert.equal((await store.get("case/large"))?.value.byteLength, keyValueLimits.maxValueBytes);
  });

  within("closed, it refuses everything and tells nobody anything", async (store, _, watchMs) => {
    const seen = new Seen(watchMs);
    store.watch("case/w", seen.take);
    await seen.until((values) => values.length === 1);
    await store.close();
    await store.close();
    const refused = { code: "unavailable", reason: "STORE_CLOSED" };
    await assert.rejects(async () => store.get("case/w"), refused);
    await assert.rejects(async () => store.list("case"), refused);
    await assert.rejects(async () => store.keys("case"), refused);
    await assert.rejects(async () => store.put("case/w", text("1"), ANY), refused);
    await assert.rejects(async () => store.delete("case/w", ANY), refused);
    await assert.rejects(async () => void store.watch("case/w", () => {}), refused);
    assert.equal(seen.values.length, 1);
  });
}

/** What a watch has told. */
class Seen {
  readonly values: (string | null)[] = [];
  readonly #withinMs: number;
  #look: () => void = () => {};

  constructor(withinMs: number) {
    this.#withinMs = withinMs;
  }

  readonly take = (item: KeyValueItem | null): void => {
    this.values.push(plain(item)?.value ?? null);
    this.#look();
  };

  async until(reached: (values: readonly (string | null)[]) => boolean): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`told only ${JSON.stringify(this.values)}`)), this.#withinMs);
      this.#look = () => {
        if (!reached(this.values)) return;
        clearTimeout(late);
        resolve();
      };
      this.#look();
    });
  }
}

function plain(item: KeyValueItem | null): { key: string; value: string; version: string } | null {
  return item && { key: item.key, value: Buffer.from(item.value).toString(), version: item.version };
}

function text(value: string): Uint8Array {
  return Uint8Array.from(Buffer.from(value));
}
