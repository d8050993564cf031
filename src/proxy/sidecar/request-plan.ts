import { parseCallerAttempt } from "../../call/caller-attempt.ts";
import { PEER_FIELD } from "../../call/peer-field.ts";
import type { WeftError } from "../../core/errors.ts";
import { fieldOf } from "../../core/fields.ts";
import { parseTraceParent, type TraceParent } from "../../telemetry/trace.ts";
import { parseGrpcTimeout } from "../../wire/grpc/timeout.ts";
import { Head } from "../../wire/head.ts";
import { badTimeout, isGrpc } from "../plan.ts";
import type { Destination } from "./destination.ts";
import type { FollowedService } from "./followed-services.ts";

/** What a sidecar derives from a request's head, once for each interned head, and keeps in `head.memo`. */
export class RequestPlan {
  /** Whoever sent it proved who it is, or is the application itself: what hops say of themselves is believed. */
  readonly trusted: boolean;
  /** The head to send on. */
  readonly onward: Head;
  readonly grpc: boolean;
  /** It cannot be understood, or leads nowhere. */
  error: WeftError | null;
  /** From grpc-timeout, ms; Infinity without one. */
  readonly timeoutMs: number;
  /** The number of the caller's attempt, 0 when it says nothing or is not believed. */
  readonly callerAttempt: number;
  readonly requestId: string;
  readonly trace: TraceParent | null;
  /** What hops before said of where it came from; "" when nothing was, or it is not believed. */
  readonly forwardedFor: string;
  /** Where the connection was to go, when the way in said so (a virtual address, CONNECT). */
  readonly given: Destination | null;
  /** Outbound: where it goes. */
  destination: Destination | null = null;
  /** Outbound: the service that it goes to, followed from the first call on. */
  service: FollowedService | null = null;

  constructor(head: Head, trusted: boolean, given: Destination | null) {
    const passed: string[] = [];
    let forwardedFor = "";
    let requestId = "";
    for (let i = 0; i < head.fields.length; i += 2) {
      const name = head.fields[i];
      const value = head.fields[i + 1];
      switch (name) {
        case "x-forwarded-for":
          if (trusted) forwardedFor = forwardedFor === "" ? value : `${forwardedFor}, ${value}`;
          break;
        case "x-request-id":
          if (REQUEST_ID.test(value)) requestId = value;
          break;
        case "traceparent": // each call gets a child of it
        case "x-weft-attempt": // said anew, with this hop's own
        case "grpc-previous-rpc-attempts":
        case "proxy-authorization": // for this proxy, which asks for none
          break;
        default:
          if (mayGoOn(name, trusted)) passed.push(name, value);
      }
    }
    const timeout = fieldOf(head.fields, "grpc-timeout");
    const timeoutMs = timeout === undefined ? Number.POSITIVE_INFINITY : parseGrpcTimeout(timeout);
    this.trusted = trusted;
    this.given = given;
    this.onward = new Head(head.method, head.scheme, head.authority, head.path, head.protocol, 0, passed);
    this.grpc = isGrpc(head);
    this.error = timeoutMs === null ? badTimeout(timeout ?? "") : null;
    this.timeoutMs = timeoutMs ?? Number.POSITIVE_INFINITY;
    this.callerAttempt = trusted ? parseCallerAttempt(head.fields) : 0;
    this.requestId = requestId;
    this.trace = parseTraceParent(fieldOf(head.fields, "traceparent"));
    this.forwardedFor = forwardedFor;
  }
}

/**
 * Whether a field goes on. What hops say to each other is believed of those who proved who they are alone, since applications believe it; written with "_" it
 * is the same to many servers, and nobody of ours writes it so. Who the caller is only a sidecar says.
 */
function mayGoOn(name: string, trusted: boolean): boolean {
  const plain = name.includes("_") ? name.replaceAll("_", "-") : name;
  if (plain === PEER_FIELD) return false;
  if (!plain.startsWith("x-") && plain !== "forwarded") return true;
  const ofHops =
    plain.startsWith("x-weft-") || plain.startsWith("x-forwarded-") || OF_HOPS.has(plain) || plain === "x-request-id";
  return !ofHops || (trusted && plain === name);
}

const OF_HOPS: ReadonlySet<string> = new Set(["forwarded", "x-real-ip", "x-original-url", "x-rewrite-url"]);
/** Ids that are passed on and logged: visible ASCII without quotes, not too long. */
const REQUEST_ID = /^[A-Za-z0-9._:/+=@-]{1,128}$/;
