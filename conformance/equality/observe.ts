import type { BackendRef, Resource } from "../../src/policy/resource/resources.ts";
import { asBrowsersSee } from "./cors-answers.ts";
import { headersText } from "./headers.ts";
import type { Answer, Attempt, EqualityCase, EqualityRequest, Observation } from "./model.ts";

/** Makes of what a caller got and backends saw what is compared: without what chance or the place's own words decide. */
export function observe(
  { scope, resources }: Pick<EqualityCase, "scope" | "resources">,
  got: Answer,
  seen: { attempts: readonly Attempt[]; mirrors: readonly Attempt[] },
  request: EqualityRequest,
): Observation {
  const answer = asBrowsersSee(request, got);
  const drawn = drawnServices(resources);
  const ofBackend = answer.headers["x-origin"] !== undefined;
  const attempts = seen.attempts.map((attempt, i) => {
    const { backend } = attempt;
    const before = seen.attempts.slice(0, i).filter((one) => one.backend === backend);
    // Which endpoint is first is the balancer's business; that the second attempt is made at another one is not.
    const moved = before.length === 1 ? (before[0].endpoint === attempt.endpoint ? " same" : " other") : "";
    const several = backend === "web" || backend === "rpc";
    return `${drawn ? "drawn" : `${backend}${several ? moved : ""}`} ${line(attempt, scope)}`;
  });
  return {
    status: answer.status,
    grpcStatus: answer.grpcStatus,
    // What a backend says is no reason of a place.
    reason: ofBackend ? "" : answer.reason,
    broken: answer.broken,
    origin: ofBackend ? "backend" : "local",
    headers: headersText(withoutOrigin(answer.headers)),
    body: ofBackend && !answer.broken ? (drawn ? answer.body.replace(/[a-z]+(@v\d)?$/, "drawn") : answer.body) : "",
    attempts,
    mirrors: seen.mirrors.map((mirror) => `${mirror.backend} ${mirror.method} ${mirror.path} ${mirror.body}`).sort(),
  };
}

function line({ method, path, host, headers, body }: Attempt, scope: string): string {
  // Inside a mesh every place has its own way to name a service; a host that a route wrote is another matter.
  const named = scope === "edge" || host.includes("rewritten") ? host : "";
  return [method, path, named, headersText(headers), body].filter((part) => part !== "").join(" ");
}

function withoutOrigin({ "x-origin": _origin, ...rest }: Answer["headers"]): Answer["headers"] {
  return rest;
}

/** Whether chance decides about backends: then their names say nothing, and splits are compared by their shares (splits.ts). */
function drawnServices(resources: readonly Resource[]): boolean {
  return resources.some(
    (resource) =>
      (resource.kind === "HTTPRoute" || resource.kind === "GRPCRoute") &&
      resource.spec.rules.some(({ backendRefs = [] }) => several(backendRefs)),
  );
}

function several(refs: readonly BackendRef[]): boolean {
  return refs.filter(({ weight = 1 }) => weight > 0).length > 1;
}
