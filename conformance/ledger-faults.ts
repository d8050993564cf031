import assert from "node:assert/strict";
import { test } from "node:test";
import { Ledger } from "../src/control/ledger.ts";
import { systemClock } from "../src/core/clock.ts";
import type { WeftError } from "../src/core/errors.ts";
import type { Resource } from "../src/policy/resource/resources.ts";
import type { KeyValue } from "../src/settings/key-value.ts";
import { KeyValueRevisions } from "../src/settings/key-value-revisions.ts";
import type { SettingsState } from "../src/settings/settings-state.ts";
import { HurtLine } from "./hurt-line.ts";
import type { HurtableServer } from "./registry-faults.ts";
import { wait } from "./registry-plane.ts";

export interface LedgerFaults {
  server: () => Promise<HurtableServer>;
  /** A store of a system of this name. */
  open: (address: string, system: string) => Promise<KeyValue>;
  /** How long a server may take until it answers after it was started, ms. Default 10,000. */
  recoveryMs?: number;
}

/**
 * Two ledgers over one real store publish at once while it is killed, stands still for 30 s, is slow, loses connections, and one of them is cut off: what was acknowledged is there, once, under the number that was told; both come to the same; and what is in force
 * survives the loss of all data.
 */
export function ledgerFaults(name: string, { server: start, open, recoveryMs = 10_000 }: LedgerFaults): void {
  test(`${name}: revisions that were acknowledged outlive whatever happens to the store`, {
    timeout: 180_000,
  }, async () => {
    const server = await start();
    const line = await HurtLine.open(server.port);
    const addresses = [`127.0.0.1:${server.port}`, line.address];
    const stores = await Promise.all(addresses.map((address) => open(address, "ledger")));
    const told: string[] = [];
    const ledgers = await Promise.all(
      stores.map((store) =>
        Ledger.open({
          revisions: new KeyValueRevisions(store),
          check,
          clock: systemClock,
          onEvent: (text) => told.push(text),
        }),
      ),
    );
    const acknowledged = new Map<string, number>();
    let stopped = false;
    let made = 0;
    const publish = async (ledger: Ledger): Promise<void> => {
      while (!stopped) {
        const key = `key-${++made}`;
        try {
          const { revision } = await ledger.change({ author: key, reason: "" }, setting(key));
          acknowledged.set(key, revision);
          // Who publishes as fast as it can leaves no turn to who is slow.
          if (line.delayMs > 0) await wait(1_000);
        } catch (thrown) {
          const { code } = thrown as WeftError;
          assert.ok(
            ["unavailable", "deadline_exceeded", "aborted"].includes(code),
            `${code}: ${(thrown as Error).message}`,
          );
          await wait(50);
        }
      }
    };
    const publishing = ledgers.map(publish);
    const until = async (what: string, holds: () => boolean): Promise<void> => {
      const began = performance.now();
      while (!holds()) {
        if (performance.now() - began > recoveryMs + 5_000) throw new Error(`waited in vain for ${what}: ${told}`);
        await wait(5);
      }
      console.log(`measured ${name}, two ledgers: ${what} after ${Math.round(performance.now() - began)} ms`);
    };
    const both = async (what: string): Promise<void> => {
      const before = ledgers.map((ledger) => ledger.current.revision);
      await until(`both publish again, ${what}`, () =>
        ledgers.every((ledger, i) => ledger.current.revision > before[i] + 2),
      );
    };
    try {
      await both("at first");
      await server.kill();
      await wait(500);
      await server.start();
      await both("killed and restarted");
      server.pause();
      await wait(30_000);
      server.resume();
      await both("paused for 30 s");
      line.delayMs = 200;
      await both("slow: 200 ms each way");
      line.delayMs = 0;
      for (let round = 0; round < 10; round++) {
        line.reset();
        await wait(100);
      }
      await both("connections reset ten times");
      line.refusing = true;
      line.reset();
      const alone = ledgers[0].current.revision;
      await until("the other goes on while one is cut off", () => ledgers[0].current.revision > alone + 2);
      line.refusing = false;
      await both("cut off");
      stopped = true;
      await Promise.all(publishing);
      await until("both are at the same", () => ledgers[0].current.revision === ledgers[1].current.revision);
      const { current } = ledgers[1];
      for (const [key, revision] of acknowledged) {
        const entry = current.settings.namespaces.shop.values[key];
        assert.ok(entry !== undefined, `${key} was acknowledged as revision ${revision}, and is lost`);
        assert.equal(entry.revision, revision, `${key} was made twice`);
      }
      const notes = await ledgers[0].list(10_000, Number.MAX_SAFE_INTEGER);
      const authors = notes.map(({ author }) => author);
      assert.equal(new Set(authors).size, authors.length, "a change is in the ledger twice");
      console.log(
        `measured ${name}, two ledgers: ${acknowledged.size} of ${made} changes were acknowledged, all in ${notes.length} revisions`,
      );
      await server.kill();
      await server.lose();
      await server.start();
      await until("what is in force is put back after a loss of all data", () =>
        told.some((text) => text.includes("lost all revisions")),
      );
      const after = await retry(() => ledgers[1].change({ author: "after", reason: "" }, setting("after")), recoveryMs);
      assert.equal(
        Object.keys(after.settings.namespaces.shop.values).length,
        Object.keys(current.settings.namespaces.shop.values).length + 1,
      );
      await until("both are at the same again", () => ledgers[0].current.revision === after.revision);
    } finally {
      stopped = true;
      await Promise.all(publishing);
      for (const ledger of ledgers) await ledger.close();
      for (const store of stores) await store.close();
      await line.close();
      await server.stop();
    }
  });
}

function check(text: string) {
  const resources = JSON.parse(text) as Resource[];
  return { resources, texts: resources.map((one) => JSON.stringify(one)), warnings: [] };
}

function setting(key: string) {
  return ({ namespaces }: SettingsState, revision: number): SettingsState => {
    const before = namespaces.shop ?? { values: {}, schema: null, grays: [], revision };
    const values = { ...before.values, [key]: { value: key, revision, author: key, atMs: 1 } };
    return { namespaces: { ...namespaces, shop: { ...before, values, revision } } };
  };
}

async function retry<T>(what: () => Promise<T>, withinMs: number): Promise<T> {
  const began = performance.now();
  for (;;) {
    try {
      return await what();
    } catch (thrown) {
      if (performance.now() - began > withinMs) throw thrown;
      await wait(100);
    }
  }
}
