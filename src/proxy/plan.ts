import { parseCallerAttempt } from "../call/caller-attempt.ts";
import { isForwarding, plainName } from "../call/hop-fields.ts";
import { WeftError } from "../core/errors.ts";
import { fieldOf } from "../core/fields.ts";
import { isRequestId } from "../core/request-id.ts";
import { LOAD_FORMAT_FIELD } from "../policy/balance/load-report.ts";
import { parseTraceParent, type TraceParent } from "../telemetry/trace.ts";
import { parseGrpcTimeout } from "../wire/grpc/timeout.ts";
import { Head } from "../wire/head.ts";
import type { HttpStream } from "../wire/stream.ts";
import type { Rest, RestCall } from "./rest.ts";
import type { TrustedProxies } from "./trusted-proxies.ts";

/**
 * What the data plane derives from a request's head, once for each interned head, and keeps in `head.memo`.
 */
export class Plan {
  /** The planner's state (contracts, routes) that it was made for. */
  readonly generation: number;
  /** The peer that sent it may say where it came from. */
  readonly trusted: boolean;
  /** The head to send upstream: without what only the hop before may say, with where the request came from. */
  readonly upstream: Head;
  /** A gRPC service of the proxy's own serves it. */
  readonly local: boolean;
  readonly grpc: boolean;
  /** What becomes of the request before policy sees it: a gRPC call (REST that a contract describes), an error, or null: it is passed through. */
  readonly found: RestCall | WeftError | null;
  /** From grpc-timeout, ms; Infinity without one. */
  readonly timeoutMs: number;
  /** The number of the caller's attempt as it says, 0 when it says nothing; believed of some peers only. */
  readonly callerAttempt: number;
  /** The caller's own request id when it is one that we pass on, otherwise "". */
  readonly requestId: string;
  readonly trace: TraceParent | null;
  /** What goes on of x-forwarded-for, "" when nothing was said or it is not trusted. */
  readonly forwardedFor: string;
  /** The address that a trusted peer says the call comes from, otherwise "". */
  readonly client: string;
  /** What a trusted peer says it was sent over TLS; null when nobody says. */
  readonly secure: boolean | null;

  constructor(parts: Plan) {
    this.generation = parts.generation;
    this.trusted = parts.trusted;
    this.upstream = parts.upstream;
    this.local = parts.local;
    this.grpc = parts.grpc;
    this.found = parts.found;
    this.timeoutMs = parts.timeoutMs;
    this.callerAttempt = parts.callerAttempt;
    this.requestId = parts.requestId;
    this.trace = parts.trace;
    this.forwardedFor = parts.forwardedFor;
    this.client = parts.client;
    this.secure = parts.secure;
  }
}

export interface PlannerOptions {
  rest: Rest | null;
  /** Full names of gRPC services that the proxy serves itself. */
  local: ReadonlySet<string>;
  /** Whose x-forwarded-* is believed; null for nobody's. */
  trustedProxies: TrustedProxies | null;
}

/** Makes plans, and finds those already made. Never throws: what is malformed in a head is left out, or its error is the plan. */
export class Planner {
  readonly #options: PlannerOptions;

  constructor(options: PlannerOptions) {
    this.#options = options;
  }

  plan(stream: HttpStream, head: Head): Plan {
    const generation = this.#options.rest?.generation ?? 0;
    const trusted = this.#options.trustedProxies?.trusts(stream.connection.peer) ?? false;
    const known = head.memo;
    if (known instanceof Plan && known.generation === generation && known.trusted === trusted) return known;
    const plan = this.#make(stream, head, generation, trusted);
    if (!plan.local) head.memo = plan; // the local services' handler keeps its own there
    return plan;
  }

  #make(stream: HttpStream, head: Head, generation: number, trusted: boolean): Plan {
    const { version, peer } = stream.connection;
    const { rest, local, trustedProxies } = this.#options;
    const received = receivedFields(head, trusted);
    const client = received.forwardedFor === "" ? null : (trustedProxies?.clientOf(received.forwardedFor) ?? null);
    const fields = received.passed;
    fields.push("via", received.via === "" ? `${version} weft` : `${received.via}, ${version} weft`);
    fields.push("x-forwarded-proto", received.forwardedProto || (peer.secure ? "https" : "http"));
    fields.push("x-forwarded-host", received.forwardedHost || head.authority);
    const upstream = new Head(head.method, head.scheme, head.authority, head.path, head.protocol, 0, fields);
    const grpc = isGrpc(head);
    const timeout = fieldOf(head.fields, "grpc-timeout"); // REST callers say it so too
    const timeoutMs = timeout === undefined ? Number.POSITIVE_INFINITY : parseGrpcTimeout(timeout);
    return new Plan({
      generation,
      trusted,
      upstream,
      local: grpc && local.has(head.path.slice(1, head.path.lastIndexOf("/"))),
      grpc,
      found:
        timeoutMs === null
          ? badTimeout(timeout ?? "")
          : grpc || rest === null || head.protocol !== ""
            ? null
            : rest.find(upstream),
      timeoutMs: timeoutMs ?? Number.POSITIVE_INFINITY,
      callerAttempt: parseCallerAttempt(head.fields),
      requestId: received.requestId,
      trace: parseTraceParent(fieldOf(head.fields, "traceparent")),
      forwardedFor: client?.chain ?? "",
      client: client?.address ?? "",
      secure: received.forwardedProto === "" ? null : received.forwardedProto === "https",
    });
  }
}

export function badTimeout(value: string): WeftError {
  return new WeftError(
    "invalid_argument",
    `grpc-timeout "${value.slice(0, 20)}" is malformed; it is at most 8 digits and one of H M S m u n`,
    { reason: "BAD_TIMEOUT" },
  );
}

interface ReceivedFields {
  /** Those that go on as they are. */
  readonly passed: string[];
  forwardedFor: string;
  forwardedProto: string;
  forwardedHost: string;
  via: string;
  requestId: string;
}

/** Parts the caller's fields into those that go on and those that each hop says anew. */
function receivedFields({ fields }: Head, trusted: boolean): ReceivedFields {
  const received: ReceivedFields = {
    passed: [],
    forwardedFor: "",
    forwardedProto: "",
    forwardedHost: "",
    via: "",
    requestId: "",
  };
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i];
    const value = fields[i + 1];
    switch (name) {
      case "x-forwarded-for":
        if (trusted) received.forwardedFor = joined(received.forwardedFor, value);
        break;
      case "x-forwarded-proto":
        if (trusted && (value === "http" || value === "https")) received.forwardedProto = value;
        break;
      case "x-forwarded-host":
        if (trusted) received.forwardedHost = value;
        break;
      case "x-request-id":
        if (isRequestId(value)) received.requestId = value;
        break;
      case "via":
        received.via = joined(received.via, value);
        break;
      case LOAD_FORMAT_FIELD: // what load servers have is nothing for outside
      case "traceparent": // each call gets a child of it
      case "grpc-previous-rpc-attempts": // said anew, with this hop's own
        break;
      default:
        if (!isOfHops(name, trusted)) received.passed.push(name, value);
    }
  }
  return received;
}

/**
 * Fields by which hops speak with each other, so that callers may not: x-weft-* is believed from authenticated peers only. Of the others, services believe more
 * than this gateway says anew (hop-fields.ts).
 */
function isOfHops(name: string, trusted: boolean): boolean {
  const plain = plainName(name);
  if (plain.startsWith("x-weft-") || (plain !== name && plain === "x-request-id")) return true;
  if (!plain.startsWith("x-") && plain !== "forwarded") return false;
  return isForwarding(plain) ? !trusted || plain !== name : false;
}

function joined(list: string, value: string): string {
  return list === "" ? value : `${list}, ${value}`;
}

/** A request of gRPC proper: its content type is application/grpc, alone or with a suffix. */
export function isGrpc(head: Head): boolean {
  const type = fieldOf(head.fields, "content-type");
  return (
    type?.startsWith("application/grpc") === true &&
    (type.length === 16 || type.charCodeAt(16) === PLUS || type.charCodeAt(16) === SEMICOLON)
  );
}

const PLUS = 0x2b;
const SEMICOLON = 0x3b;
