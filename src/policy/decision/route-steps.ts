import { nearestMiss, placeInOrder } from "../route/route-explanation.ts";
import type { Rule } from "../route/rule.ts";
import { SessionRequest } from "../route/session-request.ts";
import type { Plan } from "../snapshot/snapshot.ts";
import type { CallDecision } from "./decision.ts";
import type { AddStep } from "./resilience-steps.ts";

/** Which rule took the call, where it stands among the others, and what its CORS filter did. */
export function addRoute({ sent, cors, origin }: CallDecision, { rule, snapshot }: Plan, add: AddStep): void {
  const route = rule.route === "" ? "implicit" : rule.route;
  const source = ruleName(rule);
  const order = snapshot.orderWith(rule);
  if (order === null) add("route", "ok", rule.text, { route }, source);
  else {
    const { before, match, ...place } = placeInOrder(order, rule, sent);
    const more = { ...(match === "" ? {} : { match }), ...(before === "" ? {} : { before }) };
    add("route", "ok", rule.text, { route, ...place, ...more }, source);
  }
  if (cors === "") return;
  const [verdict, text] = {
    preflight: ["ok", `preflight of ${origin} answered`],
    "preflight-denied": ["denied", `preflight of ${origin}: this origin is not allowed`],
    allowed: ["ok", `${origin} may read the answer`],
    denied: ["skipped", `${origin} is not allowed: its pages cannot read the answer`],
  }[cors];
  add("cors", verdict, text, {}, source);
}

/** Whether the call belonged to a session. */
export function addSession({ session }: CallDecision, { rule }: Plan, add: AddStep): void {
  const where = `${rule.session?.type === "Header" ? "header" : "cookie"} ${rule.session?.name}`;
  const [verdict, text] = {
    "": ["skipped", ""],
    none: ["skipped", `no session: ${where} is not there, or too old`],
    gone: ["skipped", `the session's endpoint is gone: another is chosen (${where})`],
    kept: ["chosen", `the session of ${where}`],
  }[session];
  add("session", verdict, text, {}, ruleName(rule));
}

/** The route that a request came nearest to which none matches. */
export function nearestRouteChange({ snapshot, sent }: CallDecision): string {
  if (snapshot === null || sent === null || sent instanceof SessionRequest) return "";
  const miss = nearestMiss(snapshot.gatewayOrder, sent, true);
  if (miss === null) return "";
  const { rule, why } = miss;
  return why === "" ? `was ${rule.text} meant?` : `would have matched ${rule.text} (${ruleName(rule)}), which ${why}`;
}

/** "HTTPRoute/products", "HTTPRoute/products#canary" for a rule with a name, "" for an implicit one. */
function ruleName({ route, name }: Pick<Rule, "route" | "name">): string {
  return name === "" ? route : `${route}#${name}`;
}
