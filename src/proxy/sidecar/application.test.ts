import assert from "node:assert/strict";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { type Clock, systemClock } from "../../core/clock.ts";
import type { WeftError } from "../../core/errors.ts";
import { createPolicyRuntime } from "../../policy/snapshot/create-runtime.ts";
import { Application } from "./application.ts";

/** A hundred times as fast. */
const fast: Clock = { ...systemClock, after: (ms, then) => systemClock.after(ms / 100, then) };

test("an application that cannot say what it serves yet is asked again until it does, and told of once", async (t) => {
  let asked = 0;
  const server = createServer((_request, response) => {
    asked++;
    // Not there yet, three times; then it serves no reflection, v1 and v1alpha.
    response.stream.respond(
      { ":status": 200, "content-type": "application/grpc", "grpc-status": asked <= 3 ? "14" : "12" },
      { endStream: true },
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const problems: WeftError[] = [];
  const { port } = server.address() as AddressInfo;
  const application = new Application({
    ...{ host: "127.0.0.1", port, protocol: "auto", health: "tcp", clock: fast, link: null },
    policy: createPolicyRuntime(),
    endpoint: {
      ...{ id: "orders-1", service: "orders", version: "", zone: "", weight: 1, metadata: {} },
      ...{ host: "127.0.0.1", port, protocol: "h2c" },
    },
    onProblem: (error) => problems.push(error),
  });
  t.after(() => application.close());
  await application.met;
  assert.equal(application.protocol, "h2c");
  while (asked < 5) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(
    problems.map(({ reason }) => reason),
    ["NO_REFLECTION"],
  );
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(asked, 5, "it has said what it serves");
});
