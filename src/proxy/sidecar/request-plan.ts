import { parseCallerAttempt } from "../../call/caller-attempt.ts";
import { isForwarding, plainName } from "../../call/hop-fields.ts";
import { PEER_FIELD } from "../../call/peer-field.ts";
import type { WeftError } from "../../core/errors.ts";
import { isRequestId } from "../../core/request-id.ts";
import { parseTraceParent, type TraceParent } from "../../telemetry/trace.ts";
import { parseGrpcTimeout } from "../../wire/grpc/timeout.ts";
import { Head } from "../../wire/head.ts";
import { badTimeout, isGrpc } from "../plan.ts";
import type { Destination } from "./destination.ts";
import type { FollowedService } from "./followed-services.ts";

/** What a sidecar derives from a request's head, once for each interned head, and keeps in `head.memo`. */
export class RequestPlan {
  readonly shape: RequestShape;
  /** It cannot be understood. */
  readonly error: WeftError | null;
  /** From grpc-timeout, ms; Infinity without one. */
  readonly timeoutMs: number;
  /** The number of the caller's attempt, 0 when it says nothing or is not believed. */
  readonly callerAttempt: number;
  readonly requestId: string;
  readonly trace: TraceParent | null;
  /** What hops before said of where it came from; "" when nothing was, or it is not believed. */
  readonly forwardedFor: string;
  constructor(head: Head, shape: RequestShape) {
    let forwardedFor = "";
    let requestId = "";
    let traceparent: string | undefined;
    let timeout: string | undefined;
    for (let i = 0; i < head.fields.length; i += 2) {
      const value = head.fields[i + 1];
      switch (head.fields[i]) {
        case "x-forwarded-for":
          if (shape.trusted) forwardedFor = forwardedFor === "" ? value : `${forwardedFor}, ${value}`;
          break;
        case "x-request-id":
          if (isRequestId(value)) requestId = value;
          break;
        case "traceparent":
          traceparent ??= value;
          break;
        case "grpc-timeout":
          timeout ??= value;
          break;
      }
    }
    const timeoutMs = timeout === undefined ? Number.POSITIVE_INFINITY : parseGrpcTimeout(timeout);
    this.shape = shape;
    this.error = timeoutMs === null ? badTimeout(timeout ?? "") : null;
    this.timeoutMs = timeoutMs ?? Number.POSITIVE_INFINITY;
    this.callerAttempt = shape.trusted ? parseCallerAttempt(head.fields) : 0;
    this.requestId = requestId;
    this.trace = parseTraceParent(traceparent);
    this.forwardedFor = forwardedFor;
  }

  get grpc(): boolean {
    return this.shape.grpc;
  }

  get onward(): Head {
    return this.shape.onward;
  }
}

/**
 * What requests have in common that differ in nothing but what each call says of itself (its id, trace, deadline, attempt): the head to send on, with all that
 * is remembered in it. Between sidecars every call has such fields, so that no two heads are the same; without shapes each would be matched and encoded anew.
 */
export class RequestShape {
  /** Whoever sent it proved who it is, or is the application itself: what hops say of themselves is believed. */
  readonly trusted: boolean;
  /** Where the connection was to go, when the way in said so (a virtual address, CONNECT). */
  readonly given: Destination | null;
  readonly grpc: boolean;
  /** The head to send on, without what each call says of itself. */
  readonly onward: Head;
  /** Outbound: where it goes; undefined before it was looked for. */
  destination: Destination | null | undefined = undefined;
  /** Outbound: the service that it goes to, followed from the first call on. */
  service: FollowedService | null = null;
  /** Outbound: why it leads nowhere. */
  error: WeftError | null = null;
  /** As they came, without those of single calls. */
  readonly #constant: string[] = [];

  constructor(head: Head, trusted: boolean, given: Destination | null) {
    const { method, scheme, authority, path, protocol, fields } = head;
    const passed: string[] = [];
    this.grpc = isGrpc(head);
    for (let i = 0; i < fields.length; i += 2) {
      if (isOfCall(fields[i], this.grpc)) continue;
      this.#constant.push(fields[i], fields[i + 1]);
      // For this proxy, which asks for none.
      if (fields[i] !== "proxy-authorization" && mayGoOn(fields[i], trusted)) passed.push(fields[i], fields[i + 1]);
    }
    this.trusted = trusted;
    this.given = given;
    this.onward = new Head(method, scheme, authority, path, protocol, 0, passed);
  }

  matches(head: Head, trusted: boolean, given: Destination | null): boolean {
    const { onward, grpc } = this;
    const { fields } = head;
    if (this.trusted !== trusted || this.given !== given || onward.path !== head.path) return false;
    if (onward.method !== head.method || onward.authority !== head.authority) return false;
    if (onward.scheme !== head.scheme || onward.protocol !== head.protocol) return false;
    const constant = this.#constant;
    let at = 0;
    for (let i = 0; i < fields.length; i += 2) {
      if (isOfCall(fields[i], grpc)) continue;
      if (constant[at] !== fields[i] || constant[at + 1] !== fields[i + 1]) return false;
      at += 2;
    }
    return at === constant.length;
  }
}

/** The shapes of a listener's requests, by their paths: the last one of each. */
export class RequestShapes {
  readonly #byPath = new Map<string, RequestShape>();

  of(head: Head, trusted: boolean, given: Destination | null): RequestShape {
    const known = this.#byPath.get(head.path);
    if (known?.matches(head, trusted, given)) return known;
    if (this.#byPath.size >= MAX_SHAPES) this.#byPath.clear(); // paths may hold anything
    const shape = new RequestShape(head, trusted, given);
    this.#byPath.set(head.path, shape);
    return shape;
  }
}

const MAX_SHAPES = 1_024;

/** Fields that are said anew for each call, by each hop. A deadline goes on as what is left of it, in gRPC. */
function isOfCall(name: string, grpc: boolean): boolean {
  switch (name) {
    case "x-request-id":
    case "traceparent":
    case "x-forwarded-for":
    case "x-weft-attempt":
    case "grpc-previous-rpc-attempts":
      return true;
    case "grpc-timeout":
      return grpc;
    default:
      return false;
  }
}

/**
 * Whether a field goes on. What hops say to each other is believed of those who proved who they are alone, since applications believe it; written with "_" it
 * is the same to many servers, and nobody of ours writes it so. Who the caller is only a sidecar says.
 */
function mayGoOn(name: string, trusted: boolean): boolean {
  const plain = plainName(name);
  if (plain === PEER_FIELD) return false;
  if (!plain.startsWith("x-") && plain !== "forwarded") return true;
  const ofHops = plain.startsWith("x-weft-") || isForwarding(plain) || plain === "x-request-id";
  return !ofHops || (trusted && plain === name);
}
