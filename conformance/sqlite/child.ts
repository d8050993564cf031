import { join } from "node:path";
import { toWeftError } from "../../src/core/errors.ts";
import { openSqliteKeyValue } from "../../src/drivers/sqlite/sqlite-key-value.ts";
import { openSqliteRegistry } from "../../src/drivers/sqlite/sqlite-registry.ts";
import type { Lease } from "../../src/registry/registry.ts";

/** A process with a store and a registry in the folder that it is given, which does what it is asked until it is killed. */
const folder = process.argv[2];
const store = await openSqliteKeyValue({ file: join(folder, "store.db") });
const registry = await openSqliteRegistry({ file: join(folder, "registry.db"), mode: "consistent" });
const leases = new Map<number, Lease>();

const work: Record<string, (...args: never[]) => Promise<unknown>> = {
  get: async (key: string) => plain(await store.get(key)),
  put: (key: string, value: string, expected: string) => store.put(key, Buffer.from(value), expected),
  delete: (key: string, expected: string) => store.delete(key, expected),
  query: (services: string[]) => registry.query(services),
  async register(number: number, endpoint: Parameters<typeof registry.register>[0], ttlMs: number) {
    leases.set(number, await registry.register(endpoint, ttlMs));
  },
  release: async (number: number) => leases.get(number)?.release(),
};

process.on("message", ({ number, name, args }: { number: number; name: string; args: never[] }) => {
  work[name](...args).then(
    (answer) => process.send?.({ number, answer: answer ?? null }),
    (thrown) => process.send?.({ number, error: toWeftError(thrown).code, message: String(thrown) }),
  );
});
process.on("disconnect", () => process.exit());
process.send?.({ number: 0 });

function plain(item: Awaited<ReturnType<typeof store.get>>): object | null {
  return item === null ? null : { ...item, value: Buffer.from(item.value).toString() };
}
