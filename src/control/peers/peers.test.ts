import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import test from "node:test";
import { systemClock, VirtualClock } from "../../core/clock.ts";
import { Authority } from "../authority/authority.ts";
import { Peers } from "./peers.ts";

test("who refuses, or takes the connection and says nothing, is named in time", async (t) => {
  const silent = createServer().listen(0, "127.0.0.1");
  await once(silent, "listening");
  t.after(() => silent.close());
  const { port } = silent.address() as { port: number };
  const addresses = ["127.0.0.1:1", `127.0.0.1:${port}`];
  const clock = new VirtualClock();
  const authority = await Authority.open({ system: "shop", folder: "", clock: systemClock });
  const peers = new Peers({
    directory: { others: addresses.map((address, n) => ({ id: `p${n}`, address, enforcing: [] })) },
    id: "self",
    system: "shop",
    identity: authority.identity("control"),
    clock,
  });
  const connected = once(silent, "connection");
  let named = false;
  const asking = peers.ask(({ admin }, options) => admin.getStatus({}, options), 300);
  void asking.then(() => {
    named = true;
  });
  await connected;
  clock.advance(290);
  await new Promise(setImmediate);
  assert.equal(named, false);
  clock.advance(20);
  assert.deepEqual(await asking, { answers: [], silent: addresses });
  assert.equal(await peers.askOne("nobody", ({ admin }, options) => admin.getStatus({}, options)), null);
  await peers.close();
  await authority.close();
});
