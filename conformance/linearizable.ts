import assert from "node:assert/strict";
import { WeftError } from "../src/core/errors.ts";
import { type Random, seededRandom } from "../src/core/random.ts";
import { endpointOf } from "../src/registry/registry.case.ts";
import type { Lease, Registry } from "../src/registry/registry.ts";
import { ABSENT, ANY, type KeyValue, type KeyValueItem } from "../src/settings/key-value.ts";
import { type Action, judgeHistory, type Operation } from "./linearizability.ts";
import { wait } from "./registry-plane.ts";

export interface LinearizableOptions {
  /** Begins what is printed. */
  name: string;
  /** One of these, or both: what a client works with, opened once for each. A registry in the mode "consistent". */
  openKeyValue?: () => Promise<KeyValue>;
  openRegistry?: () => Promise<Registry>;
  /** Faults, one after the other: clients work until it resolves, and a second more. They must be over before another control plane would take a client's for dead. */
  hurt: () => Promise<unknown>;
  /** Default 5 each. */
  clients?: number;
  /** Default 3 each. */
  keys?: number;
  /** Longest pause of a client between two operations, ms. Default 40. */
  pauseMs?: number;
  seed?: number;
}

/** Concurrent clients of a driver while faults strike: fails where what they saw has no order that could have been. Says what was done. */
export async function checkLinearizable(options: LinearizableOptions): Promise<void> {
  const { name, openKeyValue, openRegistry, hurt, clients = 5, keys = 3, pauseMs = 40 } = options;
  const seed = options.seed ?? Math.floor(Math.random() * 2 ** 31);
  const journal = new Journal();
  const names = Array.from({ length: keys }, (_, i) => `${i + 1}`);
  const opened: { close(): Promise<void> }[] = [];
  const working: Promise<void>[] = [];
  let over = false;
  const begin = (client: string, step: (random: Random) => Promise<void>): void => {
    const random = seededRandom(seed + working.length);
    working.push(
      (async () => {
        while (!over) {
          await step(random);
          await wait(pauseMs * random.next());
        }
      })().catch((thrown) => {
        throw new Error(`${client}: ${thrown}`, { cause: thrown });
      }),
    );
  };
  try {
    for (let i = 0; i < clients; i++) {
      if (openKeyValue !== undefined) {
        const store = await openKeyValue();
        opened.push(store);
        begin(`store ${i}`, keyValueClient(store, `store ${i}`, names, journal));
      }
      if (openRegistry !== undefined) {
        const registry = await openRegistry();
        opened.push(registry);
        assert.equal(registry.mode, "consistent", "only in this mode reads are linearizable");
        begin(`registry ${i}`, registryClient(registry, `registry ${i}`, names, journal));
      }
    }
    const all = Promise.all(working);
    await Promise.race([all, hurt().then(() => wait(1_000))]);
    over = true;
    await all;
  } finally {
    over = true;
    await Promise.allSettled(working);
    for (const one of opened) await one.close();
  }
  const { operations } = journal;
  const unknown = operations.filter(({ returned }) => returned === null).length;
  console.log(
    `measured ${name}: ${operations.length} operations of ${working.length} clients in order, ${unknown} of unknown end, ${journal.refused} reads refused`,
  );
  const verdict = judgeHistory(operations);
  assert.ok(verdict.linearizable, `seed ${seed}: ${verdict.linearizable ? "" : verdict.why}`);
  assert.ok(operations.length > 100, `only ${operations.length} operations`);
}

/** What clients did, in one order of beginnings and ends. */
class Journal {
  readonly operations: Operation[] = [];
  /** Reads that were not answered: they say nothing. */
  refused = 0;
  #time = 0;
  #value = 0;

  /** A value that nobody has written yet. */
  fresh(): string {
    return String(++this.#value);
  }

  async read<T>(
    client: string,
    work: () => Promise<T>,
    seen: (answer: T) => { key: string; value: string | null }[],
  ): Promise<T | null> {
    const invoked = ++this.#time;
    const answer = await orUnknown(work);
    if (answer === UNKNOWN || answer === NOTHING) {
      this.refused++;
      return null;
    }
    const returned = ++this.#time;
    for (const { key, value } of seen(answer))
      this.operations.push({ key, client, invoked, returned, action: { kind: "read", value } });
    return answer;
  }

  /** Null: of unknown end. */
  async change<T>(
    client: string,
    key: string,
    work: () => Promise<T>,
    action: (answer: T | null) => Action,
  ): Promise<T | null> {
    const invoked = ++this.#time;
    const answer = await orUnknown(work);
    if (answer === NOTHING) return null;
    const returned = answer === UNKNOWN ? null : ++this.#time;
    const known = answer === UNKNOWN ? null : answer;
    this.operations.push({ key, client, invoked, returned, action: action(known) });
    return known;
  }
}

function keyValueClient(
  store: KeyValue,
  client: string,
  names: readonly string[],
  journal: Journal,
): (random: Random) => Promise<void> {
  /** As it was last seen: a version stands for the value that was put with it. */
  const seen = new Map<string, KeyValueItem | null>();
  return async (random) => {
    const name = names[Math.floor(random.next() * names.length)];
    const key = `lin/${name}`;
    const choice = random.next();
    const item = seen.get(key);
    if (choice < 0.45 || (item === undefined && choice >= 0.6)) {
      const found = await journal.read(
        client,
        () => store.get(key),
        (item) => [{ key, value: textOf(item) }],
      );
      seen.set(key, found);
      return;
    }
    const value = journal.fresh();
    if (choice < 0.6) {
      await journal.change(
        client,
        key,
        () => store.put(key, Buffer.from(value), ANY),
        () => ({ kind: "write", value }),
      );
      return;
    }
    const expected = textOf(item ?? null);
    const version = item?.version ?? ABSENT;
    seen.delete(key);
    if (choice < 0.9 || version === ABSENT) {
      const put = async (): Promise<boolean> => {
        const version_ = await store.put(key, Buffer.from(value), version);
        if (version_ !== null) seen.set(key, { key, value: Buffer.from(value), version: version_ });
        return version_ !== null;
      };
      await journal.change(client, key, put, (done) => ({
        kind: "compare and set",
        expected,
        value,
        done: done === true,
      }));
      return;
    }
    await journal.change(
      client,
      key,
      () => store.delete(key, version),
      (done) => ({ kind: "compare and set", expected, value: null, done: done === true }),
    );
  };
}

/** A registered endpoint is a register that holds its port. */
function registryClient(
  registry: Registry,
  client: string,
  names: readonly string[],
  journal: Journal,
): (random: Random) => Promise<void> {
  const leases: { key: string; value: string; lease: Lease }[] = [];
  const ids = names.map((name) => `alpha-${name}`);
  return async (random) => {
    const index = Math.floor(random.next() * names.length);
    const key = ids[index];
    const choice = random.next();
    if (choice < 0.5) {
      const ports = (list: { endpoints: readonly { id: string; port: number }[] }) =>
        ids.map((key) => ({ key, value: list.endpoints.find(({ id }) => id === key)?.port.toString() ?? null }));
      await journal.read(client, () => registry.query(["alpha"]), ports);
    } else if (choice < 0.85 || leases.length === 0) {
      const value = journal.fresh();
      const endpoint = endpointOf("alpha", Number(names[index]), { port: Number(value) });
      const lease = await journal.change(
        client,
        key,
        () => registry.register(endpoint, TTL_MS),
        () => ({ kind: "write", value }),
      );
      if (lease !== null) leases.push({ key, value, lease });
    } else {
      const [mine] = leases.splice(Math.floor(random.next() * leases.length), 1);
      await journal.change(
        client,
        mine.key,
        () => mine.lease.release(),
        () => ({ kind: "take away", value: mine.value }),
      );
    }
  };
}

const UNKNOWN = Symbol();
const NOTHING = Symbol();
/** No lease ends while clients work. */
const TTL_MS = 600_000;

/** What a place that does not answer leaves open; what it refuses is a mistake of the test, or of the driver. */
async function orUnknown<T>(work: () => Promise<T>): Promise<T | typeof UNKNOWN | typeof NOTHING> {
  try {
    return await work();
  } catch (thrown) {
    if (
      thrown instanceof WeftError &&
      ["unavailable", "deadline_exceeded", "cancelled", "aborted"].includes(thrown.code)
    )
      return UNKNOWN;
    // A lease that is not there any more has nothing that could be taken away.
    if (thrown instanceof WeftError && thrown.code === "not_found") return NOTHING;
    throw thrown;
  }
}

function textOf(item: KeyValueItem | null): string | null {
  return item === null ? null : Buffer.from(item.value).toString();
}
