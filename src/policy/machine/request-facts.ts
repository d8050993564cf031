import type { CallContext, CallRequest, Place } from "../call.ts";
import { normalPath } from "../route/normal-path.ts";
import { isGrpcRequest } from "../route/route-table.ts";
import { SessionRequest } from "../route/session-request.ts";
import type { RouteMatch, Snapshot } from "../snapshot/snapshot.ts";

/**
 * What the machine derives from a request's head, kept in the head's memo: a head that comes again is matched once for each snapshot.
 */
export class RequestFacts {
  readonly snapshot: Snapshot;
  readonly service: string;
  readonly place: Place;
  /** The path of the request as it is carried, which differs from the head's own when the gateway transcodes. */
  readonly path: string;
  /** Null: no route. */
  readonly match: RouteMatch | null;
  readonly grpc: boolean;
  readonly idempotent: boolean;
  /** A WebSocket or a tunnel: after the switch bytes go both ways. */
  readonly session: boolean;
  /** "" when the path or authority stays. */
  readonly rewritePath: string;
  readonly rewriteAuthority: string;
  /** It asks for faults, which go no further than the gateway that it asks: the next would take them for this one's, whom it believes. */
  readonly asksFaults: boolean;

  constructor(snapshot: Snapshot, request: CallRequest, asSent: CallRequest | null, service: string, place: Place) {
    this.snapshot = snapshot;
    this.service = service;
    this.place = place;
    this.path = request.path;
    this.match = snapshot.match(request, asSent, service, place);
    this.grpc = isGrpcRequest(request);
    this.idempotent = IDEMPOTENT.has((asSent ?? request).method) || this.match?.plan.method?.idempotent === true;
    this.session = request.protocol !== "" || request.method === "CONNECT" || request instanceof SessionRequest;
    this.asksFaults = place === "gateway" && request.fields.includes(FAULT_FIELD);
    this.rewriteAuthority = this.match?.plan.rule.rewriteHost ?? "";
    // A transcoded call's path is its method's.
    this.rewritePath = this.match === null || asSent !== null ? "" : rewritten(request.path, this.match);
  }
}

/** The request header field by which a caller asks for faults. */
export const FAULT_FIELD = "weft-fault";

/** The facts of a request, from its memo when they still hold. */
export function factsOf(snapshot: Snapshot, request: CallRequest, context: CallContext): RequestFacts {
  const { service, asSent, place, extraFields } = context;
  if (extraFields && extraFields.length > 0 && snapshot.routesByFields(service)) {
    const { method, scheme, authority, path, protocol, fields } = request;
    const whole = { method, scheme, authority, path, protocol, fields: [...fields, ...extraFields], memo: null };
    return new RequestFacts(snapshot, whole, asSent, service, place);
  }
  const keeper = asSent ?? request;
  const known = keeper.memo;
  if (
    known instanceof RequestFacts &&
    known.snapshot === snapshot &&
    known.service === service &&
    known.place === place &&
    known.path === request.path
  ) {
    return known;
  }
  const facts = new RequestFacts(snapshot, request, asSent, service, place);
  keeper.memo = facts;
  return facts;
}

/** The request when it is small enough to be held for an explanation that somebody may ask for later; null otherwise. */
export function explainable(request: CallRequest): CallRequest | null {
  const { fields, path } = request;
  if (fields.length > 2 * MAX_HELD_FIELDS) return null;
  let length = path.length;
  for (const part of fields) length += part.length;
  return length <= MAX_HELD ? request : null;
}

const MAX_HELD_FIELDS = 48;
const MAX_HELD = 2_048;

/** RFC 9110 section 9.2.2. */
const IDEMPOTENT = new Set(["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"]);

/** The path with the rule's URLRewrite or redirect applied; "" when it stays. */
function rewritten(path: string, { plan, prefix }: RouteMatch): string {
  const modifier = plan.rule.redirect?.path ?? plan.rule.rewritePath;
  if (!modifier) return "";
  const mark = path.indexOf("?");
  const bare = normalPath(mark < 0 ? path : path.slice(0, mark));
  const query = mark < 0 ? "" : path.slice(mark);
  if (modifier.type === "ReplaceFullPath") return (modifier.replaceFullPath || "/") + query;
  const rest = bare.slice(prefix.length);
  const replacement = (modifier.replacePrefixMatch ?? "/").replace(/\/+$/, "");
  const joined = rest === "" || rest.startsWith("/") ? replacement + rest : `${replacement}/${rest}`;
  return (joined === "" ? "/" : joined) + query;
}
