import assert from "node:assert/strict";
import { test } from "node:test";
import type { Endpoint } from "../../core/endpoint.ts";
import { endpointAt } from "../../net/harness.case.ts";
import { assertHealthCheckOptions, HEALTH_CHECK_METADATA, resolveHealthCheck } from "./health-check.ts";
import { HealthMachine, type ProbeOutcome } from "./health-machine.ts";

function endpointOf(service: string, part: Partial<Endpoint> = {}): Endpoint {
  return { ...endpointAt(9_000, "h2c"), service, host: "10.0.0.1", ...part };
}

const CHECK = resolveHealthCheck(endpointOf("a"), {});

function verdicts(outcomes: ProbeOutcome[], machine = new HealthMachine()): string {
  return outcomes.map((outcome) => machine.probed(outcome, CHECK)?.[0] ?? "-").join("");
}

test("failures in a row take an endpoint out, successes in a row bring it back", () => {
  assert.equal(verdicts(["failed", "failed", "passed", "failed", "failed", "failed"]), "-----u");
  assert.equal(verdicts(["failed", "failed", "failed", "passed", "failed", "passed", "passed", "passed"]), "--u---h-");
});

test("a refused connection takes it out at once", () => {
  assert.equal(verdicts(["refused", "refused"]), "u-");
});

test("a probe that could not be made says nothing", () => {
  assert.equal(verdicts(["failed", "failed", "unknown", "unknown", "failed"]), "----u");
});

test("registered again, it is believed until the next probe, which suffices to refute it", () => {
  const machine = new HealthMachine();
  assert.equal(verdicts(["refused"], machine), "u");
  machine.registered();
  assert.equal(machine.verdict, "healthy");
  assert.equal(verdicts(["failed"], machine), "u");
});

test("a check comes from the endpoint's metadata, then the service's options, then the defaults", () => {
  const options = { defaults: { intervalMs: 700 }, services: { a: { kind: "http" as const, path: "/up" } } };
  assert.deepEqual(
    { ...resolveHealthCheck(endpointOf("a"), options) },
    {
      kind: "http",
      path: "/up",
      service: "",
      intervalMs: 700,
      timeoutMs: 1_000,
      unhealthyThreshold: 3,
      healthyThreshold: 2,
    },
  );
  const by = (word: string) =>
    resolveHealthCheck(endpointOf("a", { metadata: { [HEALTH_CHECK_METADATA]: word } }), options);
  assert.equal(by("tcp").kind, "tcp");
  assert.equal(by("http:/healthz").path, "/healthz");
  assert.equal(by("grpc:orders.v1.Orders").service, "orders.v1.Orders");
  assert.equal(by("nonsense").path, "/up");
  assert.equal(resolveHealthCheck(endpointOf("b", { host: "127.0.0.1" }), {}).intervalMs, 500);
  assert.equal(resolveHealthCheck(endpointOf("b"), {}).intervalMs, 5_000);
});

test("options that are wrong are refused, naming the field", () => {
  assert.throws(() => assertHealthCheckOptions({ services: { a: { intervalMs: 1 } } }), {
    place: { field: "services.a.intervalMs" },
  });
  assert.throws(() => assertHealthCheckOptions({ defaults: { healthyThreshold: 0 } }), /healthyThreshold/);
});
