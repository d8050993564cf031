import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../../core/clock.ts";
import { WeftError } from "../../core/errors.ts";
import { VirtualAddresses } from "../../dns/virtual-addresses.ts";
import { VirtualHosts, type VirtualHostsOptions } from "./virtual-hosts.ts";

/** A machine on which listening fails as `fault` says. */
function hostsWith(
  fault: (host: string, port: number, tries: number) => string | null,
  more: Partial<VirtualHostsOptions> = {},
) {
  const open = new Set<string>();
  const problems: string[] = [];
  let tries = 0;
  const hosts = new VirtualHosts({
    addresses: new VirtualAddresses("127.80.0.0/16", "web-1"),
    ports: [80, 50_051],
    listenAt: async (host, port) => {
      const reason = fault(host, port, ++tries);
      if (reason !== null) throw new WeftError("failed_precondition", "no", { reason });
      open.add(`${host}:${port}`);
      return { connections: 0, close: async () => void open.delete(`${host}:${port}`) };
    },
    onProblem: (message) => problems.push(message),
    ...more,
  });
  return { hosts, open, problems };
}

test("a name has one address, listened on at every port, until the end", async () => {
  const { hosts, open } = hostsWith(() => null, { ownPorts: () => Promise.resolve([5_432, 80]) });
  const [one, again] = await Promise.all([hosts.addressOf("orders.weft"), hosts.addressOf("orders.weft")]);
  assert.equal(one, again);
  assert.notEqual(await hosts.addressOf("v2.orders.weft"), one);
  assert.deepEqual(
    [...open].filter((at) => at.startsWith(`${one}:`)).map((at) => at.split(":")[1]),
    ["80", "50051", "5432"],
  );
  await hosts.close();
  assert.equal(open.size, 0);
  assert.equal(await hosts.addressOf("late.weft"), null);
});

test("an address that another program listens on is passed over, and left as it was", async () => {
  const { hosts, open } = hostsWith((_host, _port, tries) => (tries === 2 ? "PORT_IN_USE" : null));
  const address = await hosts.addressOf("orders.weft");
  assert.deepEqual([...open], [`${address}:80`, `${address}:50051`]);
});

test("ports of root's are left out, once told; without any other there is no address", async () => {
  const { hosts, open, problems } = hostsWith((_host, port) => (port < 1_024 ? "PORT_FORBIDDEN" : null));
  const address = await hosts.addressOf("orders.weft");
  await hosts.addressOf("stock.weft");
  assert.ok(open.has(`${address}:50051`));
  assert.equal(problems.length, 1);
});

test("where the network cannot be listened on, people are told what to do instead", async () => {
  const { hosts, problems } = hostsWith(() => "ADDRESS_UNKNOWN");
  assert.equal(await hosts.addressOf("orders.weft"), null);
  assert.match(problems[0], /ifconfig lo0 alias 127\.80\.\d+\.\d+\); use HTTP_PROXY/);
});

test("names come from the application: only so many have addresses", async () => {
  const { hosts, problems } = hostsWith(() => null, { maxNames: 2 });
  for (const name of ["a.weft", "b.weft"]) assert.notEqual(await hosts.addressOf(name), null);
  assert.equal(await hosts.addressOf("c.weft"), null);
  assert.equal(problems.length, 1);
  assert.notEqual(await hosts.addressOf("a.weft"), null);
});

test("names that were made up keep others out for a minute at most, and take nothing from those in use", async () => {
  const clock = new VirtualClock();
  const { hosts, open } = hostsWith(() => null, { maxNames: 4, clock });
  const orders = await hosts.addressOf("orders.weft");
  for (let i = 0; i < 10; i++) await hosts.addressOf(`made-up-${i}.weft`);
  assert.equal(open.size, 8, "four names at two ports");
  assert.equal(await hosts.addressOf("stock.weft"), null);
  clock.advance(30_000);
  assert.equal(await hosts.addressOf("orders.weft"), orders);
  clock.advance(40_000);
  assert.notEqual(await hosts.addressOf("stock.weft"), null);
  assert.notEqual(await hosts.addressOf("payments.weft"), null);
  assert.equal(await hosts.addressOf("orders.weft"), orders, "which was asked for since");
  assert.equal(open.size, 8);
  await hosts.close();
  assert.equal(open.size, 0);
});
