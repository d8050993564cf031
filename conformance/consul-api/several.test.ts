import assert from "node:assert/strict";
import { test } from "node:test";
import { EtcdServer } from "../etcd/server.ts";
import { wait } from "../registry-plane.ts";
import { WeftProcess } from "../weft-process.ts";

const TOKEN = "0123456789abcdef-operator";

test("two control planes over one etcd are agents for the same services, and one goes on when the other is killed", async () => {
  const etcd = await EtcdServer.start();
  const args = [
    "control",
    "--listen",
    "127.0.0.1:0",
    "--consul",
    "127.0.0.1:0",
    "--registry",
    `etcd://${etcd.address}`,
  ];
  const [one, two] = [0, 1].map(() => new WeftProcess(args, { WEFT_OPERATOR_TOKEN: TOKEN }));
  try {
    const [first, second] = await Promise.all(
      [one, two].map(async (plane) => (await plane.line(/^Consul's API at (\S+);/))[1]),
    );
    const put = async (at: string, path: string, body?: unknown) => {
      const headers = { "x-consul-token": TOKEN };
      const answer = await fetch(`http://${at}${path}`, {
        method: "PUT",
        headers,
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      assert.equal(answer.status, 200, `${path}: ${await answer.text()}`);
    };
    const get = async (at: string, path: string) => (await fetch(`http://${at}${path}`)).json();
    const until = async (holds: () => Promise<boolean>, what: string) => {
      for (const end = performance.now() + 10_000; !(await holds()); await wait(20))
        assert.ok(performance.now() < end, what);
    };
    const passing = async () => ((await get(second, "/v1/health/service/beats?passing")) as unknown[]).length;
    await put(first, "/v1/agent/service/register", { Name: "plain", Port: 80 });
    await put(first, "/v1/agent/service/register", { Name: "beats", Port: 81, Check: { TTL: "2s" } });
    await put(first, "/v1/agent/check/register", { Name: "more", ServiceID: "plain", TTL: "30s", Status: "passing" });
    const passes = async () => {
      await put(first, "/v1/agent/check/pass/service:beats");
      return (await passing()) === 1;
    };
    await until(passes, "what one registered the other has");
    await put(second, "/v1/agent/check/pass/service:beats");
    await one.stop("SIGKILL");
    for (let i = 0; i < 5; i++) {
      await wait(1_000);
      await put(second, "/v1/agent/check/pass/service:beats");
      assert.equal(await passing(), 1);
    }
    assert.equal(((await get(second, "/v1/catalog/service/plain")) as unknown[]).length, 1);
    const silent = performance.now();
    await until(async () => (await passing()) === 0, "a check that nobody passes any more");
    console.log(
      `measured a TTL check of 2 s at the control plane that took over: critical after ${Math.round(performance.now() - silent)} ms`,
    );
    for (const id of ["plain", "beats"]) await put(second, `/v1/agent/service/deregister/${id}`);
    await until(async () => JSON.stringify(await get(second, "/v1/catalog/services")) === "{}", "both to go");
  } finally {
    await Promise.all([one.stop("SIGKILL"), two.stop()]);
    await etcd.stop();
  }
});
