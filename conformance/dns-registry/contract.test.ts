import { after } from "node:test";
import { openDnsRegistry } from "../../src/drivers/dns/dns-registry.ts";
import { readOnlyRegistryCases } from "../../src/registry/read-only-registry.case.ts";
import { wait } from "../registry-plane.ts";
import { Dnsmasq } from "./dnsmasq.ts";

/** The contract of registries whose endpoints are said elsewhere, against a real dnsmasq for each of its cases. */
const servers: Dnsmasq[] = [];
after(() => Promise.all(servers.map((server) => server.stop())));

readOnlyRegistryCases("dns, of a real dnsmasq", async () => {
  const server = await Dnsmasq.start(["local-ttl=1"]);
  servers.push(server);
  const said = new Map<string, readonly number[]>();
  return {
    open: () => openDnsRegistry({ url: `dns://127.0.0.1:${server.port}/svc.test?services=alpha,beta` }),
    async say(service, numbers) {
      said.set(service, numbers);
      const lines = [...said].flatMap(([name, listed]) =>
        listed.flatMap((number) => [
          `srv-host=${name}.svc.test,n${number}.svc.test,9000,0,1`,
          `host-record=n${number}.svc.test,10.0.0.${number},1`,
        ]),
      );
      await server.name(["local-ttl=1", ...lines]);
    },
    // Longer than the TTL, and than it is waited before a server that was away for a moment is asked again.
    settle: () => wait(2_500),
    refusal: "READ_ONLY",
  };
});
