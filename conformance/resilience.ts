import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "weftmesh";
import { Trial } from "./gen/weft/test/v1/trial.ts";
import type { Case, Suite } from "./suite.ts";
import { type RunningSystem, withSystem } from "./system.ts";

/** What a caller notices of failures behind the gateway, under steady load from callers that never retry. */
export const resilience: Suite = {
  name: "resilience",
  run: () =>
    withSystem("conformance/trial", async (system) => {
      const cases: Case[] = [];
      const load = startLoad(system);
      await sleep(2_000);
      await waitFor(async () => load.calls() > 500, 30_000);
      cases.push({
        name: "steady load meets no failure",
        ok: load.failures.length === 0 && load.calls() > 500,
        detail: load.report(),
      });

      for (let round = 1; round <= 3; round++) {
        const victim = await replica(system);
        const killed = performance.now();
        process.kill(victim.pid, "SIGKILL");
        await sleep(1_000);
        const afterSecond = await failedAttempts(system, victim.id);
        const back = await waitFor(
          async () =>
            (await system.ps()).instances.some(
              (one) => one.id === victim.id && one.pid !== victim.pid && one.state === "ready",
            ),
          20_000,
        );
        const later = await failedAttempts(system, victim.id);
        cases.push({
          name: `kill -9 of one of 3 replicas, round ${round}: no failed call`,
          ok: load.failures.length === 0,
          detail: load.report(),
        });
        cases.push({
          name: `kill -9, round ${round}: out of rotation within a second`,
          ok: later === afterSecond,
          detail: `${later - afterSecond} attempts failed at it after the first second`,
        });
        cases.push({
          name: `kill -9, round ${round}: it comes back`,
          ok: back,
          detail: `${Math.round(performance.now() - killed)} ms`,
        });
      }

      const restart = await system.weft("restart", "trial");
      cases.push({
        name: "weft restart under load: it says that it worked",
        ok: restart.status === 0,
        detail: restart.output,
      });
      cases.push({
        name: "weft restart under load: no failed call",
        ok: load.failures.length === 0,
        detail: load.report(),
      });

      const before = await publish(system, "true");
      for (let turn = 0; turn < 20; turn++) await publish(system, `turn-${turn}`);
      const header = await waitFor(
        async () =>
          (await fetch(`http://${system.gateway.host}:${system.gateway.port}/trial/a`)).headers.get("x-turn") ===
          "turn-19",
        5_000,
      );
      cases.push({ name: "new routes are applied", ok: header, detail: `first as revision ${before}` });
      cases.push({
        name: "21 revisions of routes under load: no failed call",
        ok: load.failures.length === 0,
        detail: load.report(),
      });

      const until = performance.now() + 10_000;
      let kills = 0;
      for (let pid = 0; performance.now() < until; await sleep(50)) {
        const control = (await system.ps()).instances.find((one) => one.service === "control");
        if (control === undefined || control.pid === 0 || control.pid === pid) continue;
        pid = control.pid;
        kills++;
        try {
          process.kill(pid, "SIGKILL");
        } catch {} // it was ending already
      }
      cases.push({
        name: "the control plane killed whenever it comes up, for 10 s: no failed call",
        ok: kills > 0 && load.failures.length === 0,
        detail: `${kills} kills, ${load.report()}`,
      });
      const restored = await waitFor(
        async () => (await system.ps()).instances.some((one) => one.service === "control" && one.state === "ready"),
        30_000,
      );
      await sleep(3_000);
      cases.push({
        name: "the control plane restarted: no failed call",
        ok: restored && load.failures.length === 0,
        detail: load.report(),
      });
      await load.stop();
      return cases;
    }),
};

/** Publishes a revision whose route puts `turn` into a header of every answer; gives its number. */
async function publish(system: RunningSystem, turn: string): Promise<number> {
  const { control } = await system.ps();
  const route = {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    metadata: { name: "trial" },
    spec: {
      rules: [
        {
          matches: [{ path: { type: "PathPrefix", value: "/trial" } }],
          filters: [
            { type: "ResponseHeaderModifier", responseHeaderModifier: { set: [{ name: "x-turn", value: turn }] } },
          ],
          backendRefs: [{ name: "trial" }],
        },
      ],
    },
  };
  const operator = readFileSync(
    join(import.meta.dirname, "trial", ".weft", "control", "operator-token"),
    "utf8",
  ).trim();
  const answer = await fetch(`${control.startsWith("http") ? "" : "http://"}${control}/v1/revisions`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${operator}` },
    body: JSON.stringify({
      resources: JSON.stringify(route),
      source: "resilience",
      author: "resilience",
      reason: turn,
    }),
  });
  const said = (await answer.json()) as { revision?: string; detail?: string };
  if (!answer.ok) throw new Error(`publishing failed: ${said.detail}`);
  return Number(said.revision);
}

async function replica(system: RunningSystem) {
  const found = (await system.ps()).instances.find((one) => one.service === "trial" && one.state === "ready");
  if (found === undefined) throw new Error("no replica of trial is ready");
  return found;
}

/** Attempts of the gateway at an endpoint that did not succeed, so far. */
async function failedAttempts(system: RunningSystem, endpoint: string): Promise<number> {
  const { gatewayAdmin } = await system.ps();
  const text = await (await fetch(`${gatewayAdmin.startsWith("http") ? "" : "http://"}${gatewayAdmin}/metrics`)).text();
  let failed = 0;
  for (const [, labels, value] of text.matchAll(/^weft_attempts_total\{([^}]*)\} (\d+)$/gm)) {
    if (labels.includes(`endpoint="${endpoint}"`) && !/outcome="(ok|200|delivered)/.test(labels))
      failed += Number(value);
  }
  return failed;
}

/** 24 callers in a loop: every idempotent kind of call, over HTTP/1.1 with Node's own client and over gRPC. Nobody retries. */
function startLoad(system: RunningSystem): {
  failures: string[];
  calls(): number;
  report(): string;
  stop(): Promise<void>;
} {
  const { host, port } = system.gateway;
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  const trial = connect(Trial, { address: `${host}:${port}` });
  const failures: string[] = [];
  let calls = 0;
  let running = true;
  const rest = (method: string) =>
    new Promise<void>((resolve) => {
      const body = method === "PUT" ? '{"takeMs":1}' : undefined;
      const headers =
        body === undefined ? {} : { "content-type": "application/json", "content-length": `${body.length}` };
      const sent = request({ host, port, method, path: "/trial/a", agent, headers }, (response) => {
        if (response.statusCode !== 200) failures.push(`${method} ${response.statusCode}`);
        response.on("error", (error) => failures.push(`${method} ${error.message}`));
        response.on("close", resolve).resume();
      });
      sent.on("error", (error) => {
        failures.push(`${method} ${error.message}`);
        resolve();
      });
      sent.end(body);
    });
  const grpc = async () => {
    try {
      await trial.mark({ name: "a", takeMs: 1 }, { timeoutMs: 10_000 });
    } catch (error) {
      failures.push(`gRPC ${error instanceof Error ? error.message : error}`);
    }
  };
  const loops = Array.from({ length: 24 }, async (_, i) => {
    for (let turn = i; running; turn++) {
      const kind = turn % 5;
      await (kind === 4 ? grpc() : rest(["GET", "HEAD", "PUT", "DELETE"][kind]));
      calls++;
      await sleep(4);
    }
  });
  return {
    failures,
    calls: () => calls,
    report: () => `${calls} calls, ${failures.length} failed: ${[...new Set(failures)].slice(0, 5).join("; ")}`,
    async stop() {
      running = false;
      await Promise.all(loops);
      agent.destroy();
    },
  };
}

async function waitFor(condition: () => Promise<boolean>, ms: number): Promise<boolean> {
  for (const until = performance.now() + ms; performance.now() < until; await sleep(100))
    if (await condition()) return true;
  return false;
}
