/**
 * `npm run conformance`: suites that others wrote, run against weft's real servers and clients (built JavaScript, as published). `-- NAME...` runs some; what begins
 * with "-" and follows is for "equality" (--seed, --case, --minutes).
 * Those that mostly wait (for leases to end, for servers that stand still) run beside each other at the end. Ends with "N passed, N failed"; a failure is one that conformance/known-failing/ does not list.
 */

import { spawn } from "node:child_process";
import { consul } from "./consul.ts";
import { consulApi } from "./consul-api.ts";
import { dns } from "./dns.ts";
import { dnsRegistry } from "./dns-registry.ts";
import { envoy } from "./envoy.ts";
import { equality } from "./equality.ts";
import { etcd } from "./etcd.ts";
import { gateway } from "./gateway.ts";
import { git } from "./git.ts";
import { grpcurl } from "./grpcurl.ts";
import { guarded } from "./guarded.ts";
import { h2spec } from "./h2spec.ts";
import { hostile } from "./hostile.ts";
import { identity } from "./identity.ts";
import { interopClient, interopServer } from "./interop/suites.ts";
import { kubernetes } from "./kubernetes.ts";
import { mesh } from "./mesh.ts";
import { postgres } from "./postgres.ts";
import { redis } from "./redis.ts";
import { registryCopy } from "./registry-copy.ts";
import { resilience } from "./resilience.ts";
import { controlPlanes } from "./several.ts";
import { sidecar } from "./sidecar.ts";
import { sqlite } from "./sqlite.ts";
import { streams } from "./streams.ts";
import { judge, type Suite, type Verdict } from "./suite.ts";
import { tcp } from "./tcp.ts";
import { type Tool, tool } from "./tools.ts";
import { xds } from "./xds.ts";
import { zookeeper } from "./zookeeper.ts";

/** Suites that mostly wait, beside each other. */
const AT_ONCE = 3;
const given = process.argv.slice(2);
const option = given.findIndex((arg) => arg.startsWith("-"));
const asked = option < 0 ? given : given.slice(0, option);
const suites: readonly Suite[] = [
  h2spec,
  interopServer,
  interopClient,
  grpcurl,
  hostile,
  streams,
  gateway,
  guarded,
  resilience,
  redis,
  sqlite,
  etcd,
  git,
  postgres,
  consul,
  zookeeper,
  kubernetes,
  controlPlanes,
  consulApi,
  dns,
  dnsRegistry,
  registryCopy,
  envoy,
  sidecar,
  tcp,
  mesh,
  identity,
  xds,
  equality(option < 0 ? [] : given.slice(option)),
];
const unknown = asked.filter((name) => !suites.some((suite) => suite.name === name));
if (unknown.length > 0) {
  console.error(`no suite ${unknown.join(", ")}; there are ${suites.map((suite) => suite.name).join(", ")}`);
  process.exit(2);
}

let passed = 0;
let failed = 0;
const add = (verdict: Verdict): void => {
  passed += verdict.passed;
  failed += verdict.failed;
};
const chosen = suites.filter(({ name }) => asked.length === 0 || asked.includes(name));
install([...new Set(chosen.flatMap(({ tools = [] }) => tools))]);
const waiting = chosen.length > 1 ? chosen.filter(({ waits }) => waits === true) : [];
for (const suite of chosen) if (!waiting.includes(suite)) add(await judge(suite));
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    for (let suite = waiting.shift(); suite !== undefined; suite = waiting.shift()) add(await apart(suite));
  }),
);
console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

/** What cannot be had is told by the suites that need it. */
function install(tools: readonly Tool[]): void {
  for (const name of tools) {
    try {
      tool(name);
    } catch (error) {
      console.log(error instanceof Error ? error.message : error);
    }
  }
}

/** In a process of its own; what it prints is printed when it is over. */
function apart({ name }: Suite): Promise<Verdict> {
  const child = spawn(process.execPath, [...process.execArgv, import.meta.filename, name], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text) => {
      output += text;
    });
  return new Promise((resolve) => {
    child.on("close", () => {
      const [line = "", passed = "0", failed = "1"] = /\n(\d+) passed, (\d+) failed\n$/.exec(output) ?? [];
      console.log(output.slice(0, output.length - line.length).trimEnd());
      resolve({ passed: Number(passed), failed: Number(failed) });
    });
  });
}
