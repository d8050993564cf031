/**
 * `npm run conformance`: suites that others wrote, run against weft's real servers and clients (built JavaScript, as published). `-- NAME...` runs some; what begins
 * with "-" and follows is for "equality" (--seed, --case, --minutes).
 * Ends with "N passed, N failed"; a failure is one that conformance/known-failing/ does not list.
 */
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
import { judge, type Suite } from "./suite.ts";
import { tcp } from "./tcp.ts";
import { xds } from "./xds.ts";
import { zookeeper } from "./zookeeper.ts";

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
for (const suite of suites) {
  if (asked.length > 0 && !asked.includes(suite.name)) continue;
  const verdict = await judge(suite);
  passed += verdict.passed;
  failed += verdict.failed;
}
console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
