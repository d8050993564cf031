import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { wait } from "../registry-plane.ts";
import { WeftProcess } from "../weft-process.ts";
import { Dnsmasq } from "./dnsmasq.ts";

/** That it hangs. What is not named is kept for 5 s (RFC 2308), and a query that a server took with it when it ended is waited for before the next. */
const HANGS_MS = 60_000;

test("a gateway routes to what DNS names, without a list of services", async () => {
  const application = createServer((_, response) => response.end("hello")).listen(0, "127.0.0.1");
  await once(application, "listening");
  const { port } = application.address() as { port: number };
  const named = ["local-ttl=1", `srv-host=web.svc.test,one.svc.test,${port}`, "host-record=one.svc.test,127.0.0.1,1"];
  const server = await Dnsmasq.start(named);
  const url = `dns://127.0.0.1:${server.port}/svc.test?protocol=http1`;
  const plane = new WeftProcess(["control", "--listen", "127.0.0.1:0", "--registry", url]);
  const stopping: (() => Promise<unknown>)[] = [() => plane.stop(), () => server.stop()];
  try {
    const [, control] = await plane.line(/WEFT_CONTROL=(\S+)/);
    const gateway = new WeftProcess(["gateway", "--control", control, "--listen", "127.0.0.1:0", "--drain", "100"]);
    stopping.unshift(() => gateway.stop());
    const [, at] = await gateway.line(/^gateway at (?:http:\/\/)?(127\.0\.0\.1:\d+)/);
    const route = {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "HTTPRoute",
      metadata: { name: "web" },
      spec: { rules: [{ backendRefs: [{ name: "web" }] }] },
    };
    const published = await fetch(`http://${control}/v1/revisions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ resources: JSON.stringify([route]), author: "test", reason: "test" }),
    });
    assert.equal(published.status, 200, await published.text());
    const answers = async (status: number) => {
      for (const end = performance.now() + HANGS_MS; ; ) {
        const answer = await fetch(`http://${at}/`);
        const text = await answer.text();
        if (answer.status === status) return text;
        assert.ok(performance.now() < end, `the gateway answers ${answer.status}: ${text}`);
        await wait(20);
      }
    };
    assert.equal(await answers(200), "hello");
    await server.name(["local-ttl=1"]);
    await answers(503);
    await server.name(named);
    assert.equal(await answers(200), "hello");
  } finally {
    for (const stop of stopping) await stop();
    application.close();
  }
});
