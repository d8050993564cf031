import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { systemClock } from "../../core/clock.ts";
import { toWeftError } from "../../core/errors.ts";
import { ConsulClient } from "./consul-client.ts";
import { parseConsulUrl } from "./consul-url.ts";
import { KvSpace } from "./kv-space.ts";

test("whatever answers in Consul's place is refused in words, and nothing else happens", async (t) => {
  let body = "";
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { "content-type": "application/json", "x-consul-index": "-5" }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const client = new ConsulClient(
    parseConsulUrl(`consul://hunter2@127.0.0.1:${(server.address() as AddressInfo).port}`),
    systemClock,
  );
  t.after(() => {
    client.close();
    server.close();
  });
  const space = new KvSpace(client, "weft");
  const bodies = ["null", "5", "[5]", "{}", '{"Results":[]}', '{"Results":[{"KV":null}]}', "[[[[", "<html>"];
  bodies.push('[{"Key":5}]', '[{"Key":"weft/a","Value":5,"ModifyIndex":"x"}]', '[{"Key":"../etc","Value":"AA=="}]');
  for (body of bodies) {
    const put = space.transact([{ verb: "set", key: "a", value: Buffer.from("x"), flags: 0 }]);
    for (const [what, work] of Object.entries({ put, list: space.list() })) {
      const error = await work.then(
        () => null,
        (thrown) => toWeftError(thrown),
      );
      if (error === null) assert.equal(what, "list", body);
      else {
        assert.match(error.reason, /^CONSUL_/, `${what} ${body}: ${error.message}`);
        assert.doesNotMatch(error.message, /hunter2/);
      }
    }
  }
});
