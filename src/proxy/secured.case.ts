import type { TestContext } from "node:test";
import { startWireServer, type WireCall, type WireServer } from "../call/loopback.case.ts";
import { route } from "../policy/builders.ts";
import type { Decision } from "../policy/call.ts";
import { copyDecision } from "../policy/decision/decision.ts";
import { explainDecision } from "../policy/decision/explain.ts";
import { DecisionJournal } from "../policy/decision/journal.ts";
import type { Resource } from "../policy/resource/resources.ts";
import type { PolicyRuntime } from "../policy/runtime.ts";
import { createPolicyRuntime } from "../policy/snapshot/create-runtime.ts";
import { type Gateway, type GatewayOptions, startGateway } from "./gateway.ts";

/** A gateway on loopback with a service "shop" behind it that answers with what it was sent, for tests of security. */
export interface Secured {
  readonly gateway: Gateway;
  readonly runtime: PolicyRuntime;
  readonly url: string;
  readonly upstream: WireServer;
  /** What the service does with each call, in place of telling what it was sent. */
  serve(onCall: (call: WireCall) => void): void;
  /** What the gateway reported as wrong. */
  readonly problems: string[];
  readonly logged: () => string;
  apply(resources: readonly Resource[]): void;
  /** Every decision so far, as JSON and as text. */
  decisions(): string;
  newest(): Decision;
  metric(line: RegExp): number;
}

export async function startSecured(
  t: TestContext,
  resources: readonly Resource[],
  options: Partial<GatewayOptions> = {},
): Promise<Secured> {
  const serve = {
    call: (call: WireCall): void => {
      call.onEnd = () => call.answer(200, JSON.stringify(Object.fromEntries(pairs(call.head.fields))));
    },
  };
  const upstream = await startWireServer((call) => serve.call(call));
  const policy = createPolicyRuntime({ record: "all", journal: new DecisionJournal() });
  const apply = (more: readonly Resource[]): void => {
    policy.applyResources(policy.revision + 1, [...route("/").to("shop").resources(), ...more], []);
  };
  apply(resources);
  const endpoint = { id: "shop-1", service: "shop", host: "127.0.0.1", port: upstream.port, version: "", zone: "" };
  policy.applyEndpoints({
    endpointVersion: 1,
    full: true,
    changed: [{ ...endpoint, weight: 1, protocol: "http1", health: "healthy", metadata: {} }],
    removed: [],
  });
  const problems: string[] = [];
  let log = "";
  const gateway = await startGateway({
    listen: {},
    admin: null,
    policy,
    accessLog: "all",
    write: (text) => {
      log += text;
    },
    onProblem: ({ message }) => problems.push(message),
    ...options,
  });
  t.after(async () => {
    await gateway.stop(0);
    await upstream.close();
  });
  const newest = (): Decision => (policy.journal as DecisionJournal).newest(1)[0].decision;
  return {
    gateway,
    runtime: policy,
    url: `${options.listen?.tls === undefined ? "http" : "https"}://127.0.0.1:${gateway.port}`,
    upstream,
    serve: (onCall) => {
      serve.call = onCall;
    },
    problems,
    logged: () => log,
    apply,
    newest,
    decisions: () =>
      (policy.journal as DecisionJournal)
        .newest(1_000)
        .map(({ decision, request }) => request + JSON.stringify(copyDecision(decision)) + explainDecision(decision))
        .join("\n"),
    metric: (line) => {
      for (const { name, children } of gateway.metrics.collect()) {
        for (const { values, recorder } of children.values()) {
          if (line.test(`${name}{${values.join(",")}}`) && "value" in recorder) return recorder.value;
        }
      }
      return 0;
    },
  };
}

function* pairs(fields: readonly string[]): Generator<[string, string]> {
  for (let i = 0; i < fields.length; i += 2) yield [fields[i], fields[i + 1]];
}
