import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { VirtualClock } from "../src/core/clock.ts";
import { NameServer } from "../src/dns/name-server.ts";
import { Zone } from "../src/dns/zone.ts";
import { openDnsRegistry } from "../src/drivers/dns/dns-registry.ts";
import { openStaticRegistry } from "../src/drivers/static/static-registry.ts";
import { readOnlyRegistryCases } from "../src/registry/read-only-registry.case.ts";
import { endpointOf } from "../src/registry/registry.case.ts";

/** Registries whose endpoints are said elsewhere: of a name server (weft's own, without a socket) and of a file. */

const turns = async () => {
  for (let i = 0; i < 30; i++) await new Promise((resolve) => setImmediate(resolve));
};

readOnlyRegistryCases("dns", async () => {
  const clock = new VirtualClock();
  const zone = new Zone({ ttl: 2 });
  const server = new NameServer(zone);
  const said = new Map<string, readonly number[]>();
  return {
    open: () =>
      openDnsRegistry({
        url: "dns://127.0.0.1:53/weft?services=alpha,beta",
        clock,
        exchange: async (_at, query, over, _timeoutMs, takes = () => true) => {
          const answer = server.answer(query, over)?.slice() ?? null;
          return answer !== null && takes(answer) ? answer : null;
        },
      }),
    async say(service, numbers) {
      said.set(service, numbers);
      const changed = [...said].flatMap(([name, listed]) => listed.map((number) => endpointOf(name, number)));
      zone.apply({ full: true, changed, removed: [] });
    },
    async settle() {
      await turns();
      clock.advance(2_000);
      await turns();
    },
    refusal: "READ_ONLY",
  };
});

const folder = mkdtempSync(join(tmpdir(), "weft-read-only-"));
after(() => rmSync(folder, { recursive: true }));
let files = 0;

readOnlyRegistryCases("static", async () => {
  const file = join(folder, `${++files}.json`);
  const said: Record<string, string[]> = {};
  let reload = async (): Promise<void> => {};
  return {
    async open() {
      const registry = await openStaticRegistry({ file, clock: new VirtualClock() });
      reload = () => registry.reload();
      return registry;
    },
    async say(service, numbers) {
      said[service] = numbers.map((number) => `10.0.0.${number}:9000`);
      writeFileSync(file, JSON.stringify({ services: said }));
    },
    settle: () => reload(),
    refusal: "ENDPOINT_LISTED",
  };
});
