import { after, before } from "node:test";
import { registryCases } from "../src/registry/registry.case.ts";
import type { ConsistencyMode, Registry } from "../src/registry/registry.ts";
import { keyValueCases } from "../src/settings/key-value.case.ts";
import type { KeyValue } from "../src/settings/key-value.ts";
import { KeyValueRevisions } from "../src/settings/key-value-revisions.ts";
import { revisionStoreCases } from "../src/settings/revision-store.case.ts";
import { HurtLine } from "./hurt-line.ts";
import type { HurtableServer } from "./registry-faults.ts";
import { wait } from "./registry-plane.ts";

/** A driver of a vendor's, and the real server that it is held against. */
export interface Driver<S extends HurtableServer> {
  server: () => Promise<S>;
  /** Of the server as it is reached at HOST:PORT, which may be a line to it. */
  url: (address: string, server: S) => string;
  openRegistry: (options: { url: string; system: string; mode?: ConsistencyMode }) => Promise<Registry>;
  openKeyValue: (options: { url: string; system: string }) => Promise<KeyValue>;
}

/**
 * The contracts of registries (in each mode), of stores and of revisions that are kept in one, against one real server; each case has a system of its own there. `ttlMs`: the shortest period of a lease that
 * the server can keep. Default 3,000: with shorter ones a process that stands still for a second renews too late.
 */
export function driverContracts<S extends HurtableServer>(
  name: string,
  { server: start, url, openRegistry, openKeyValue }: Driver<S>,
  { ttlMs = 3_000 } = {},
): void {
  let server: S;
  let systems = 0;
  const lines: HurtLine[] = [];
  before(async () => {
    server = await start();
  });
  after(async () => {
    for (const line of lines) await line.close();
    await server?.stop();
  });

  for (const usual of ["available", "consistent"] as const) {
    registryCases(`${name}, ${usual}`, async () => {
      const system = `endpoints-${++systems}`;
      const line = await HurtLine.open(server.port);
      lines.push(line);
      return {
        open: (mode = usual) => openRegistry({ url: url(line.address, server), system, mode }),
        pass: wait,
        ttlMs,
        away: async (away) => {
          line.refusing = away;
          if (away) line.reset();
        },
      };
    });
  }

  keyValueCases(name, async () => {
    const system = `keys-${++systems}`;
    const open = () => openKeyValue({ url: url(server.address, server), system });
    return { open, openAnother: open };
  });

  revisionStoreCases(`revisions in ${name}`, async () => {
    const system = `revisions-${++systems}`;
    const store = () => openKeyValue({ url: url(server.address, server), system });
    const open = async () => new KeyValueRevisions(await store(), { closeStore: true });
    return { open, openAnother: open };
  });
}
