import { isBelieved } from "../call/caller-attempt.ts";
import { carryExchange, type ExchangeHooks } from "../call/exchange.ts";
import type { Carrier } from "../call/types.ts";
import type { Clock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import type { CallContext, CallRequest } from "../policy/call.ts";
import { BufferBudget } from "../service/buffer-budget.ts";
import type { IdSource } from "../telemetry/trace.ts";
import type { Head } from "../wire/head.ts";
import type { HttpStream, RequestHandler } from "../wire/stream.ts";
import { answerError } from "./answer-error.ts";
import type { CallEnd } from "./call-end.ts";
import { callFields } from "./call-fields.ts";
import { type Plan, Planner } from "./plan.ts";
import type { Rest } from "./rest.ts";
import type { Transcode, TranscodeOptions } from "./transcoded-call.ts";
import type { TrustedProxies } from "./trusted-proxies.ts";

export interface ProxyHandlerOptions {
  carrier: Carrier;
  clock: Clock;
  ids: IdSource;
  /** REST as the services' contracts describe it; null where there are no contracts (`weft proxy`). */
  rest: Rest | null;
  /** Makes the gRPC call that REST stands for; null where there is no `rest`. Given, since only those who transcode load what it needs. */
  transcode: Transcode | null;
  /** gRPC services that the proxy serves itself, by name (reflection, health); null for none. */
  local: { readonly services: ReadonlySet<string>; readonly handler: RequestHandler } | null;
  /** Whose x-forwarded-* is believed; null for nobody's. */
  trustedProxies: TrustedProxies | null;
  /** Largest body of a REST request, and largest message of its answer, where it is turned into a gRPC call. */
  maxMessageBytes: number;
  /** What all such bodies may hold together while they arrive. */
  maxBufferedBytes: number;
  /** Every request, for logs and metrics. `end` is valid during the call. */
  onEnd(request: Head, peer: string, end: CallEnd): void;
}

/**
 * A request's way through the data plane, top to bottom:
 *
 *     plan         once for each interned head: the head to send upstream, deadline, trace, request id, what REST makes of it
 *     local        reflection and health of the gateway itself
 *     transcode    REST that a contract describes, unless an explicit route takes it elsewhere -> a gRPC call
 *     carry        everything else as it is: gRPC, HTTP, WebSocket
 *
 * The call machine decides inside the last two.
 */
export function createProxyHandler(options: ProxyHandlerOptions): RequestHandler {
  const { carrier, clock, ids, rest, transcode, local, onEnd } = options;
  const planner = new Planner({ rest, local: local?.services ?? new Set(), trustedProxies: options.trustedProxies });
  const hooks: ExchangeHooks = {
    responseFields: (exchange) => ["x-request-id", exchange.context.requestId],
    onEnd: (exchange, decision) => onEnd(exchange.request, exchange.context.peerAddress, decision),
  };
  const transcoding: TranscodeOptions = {
    carrier,
    clock,
    maxMessageBytes: options.maxMessageBytes,
    buffers: new BufferBudget(options.maxBufferedBytes),
    responseFields: (context) => ["x-request-id", context.requestId],
    onEnd: (request, context, end) => onEnd(request, context.peerAddress, end),
  };

  return {
    onRequest(stream, head, fin) {
      const plan = planner.plan(stream, head);
      if (plan.local && local !== null) return local.handler.onRequest(stream, head, fin);
      const { upstream, found } = plan;
      const requestId = plan.requestId === "" ? ids.next() : plan.requestId;
      const extra = callFields(stream, plan, requestId, ids);
      if (found === null) {
        carryExchange(
          carrier,
          stream,
          upstream,
          fin,
          contextOf(stream, plan, requestId, clock, "", null),
          extra,
          hooks,
        );
      } else if (found instanceof WeftError) {
        const client = plan.client || stream.connection.peer.address;
        onEnd(head, client, answerError(stream, head, fin, plan.grpc, found, requestId));
      } else {
        transcode?.(
          found,
          transcoding,
          stream,
          upstream,
          fin,
          contextOf(stream, plan, requestId, clock, found.service, upstream),
          extra,
        );
      }
    },
  };
}

function contextOf(
  stream: HttpStream,
  plan: Plan,
  requestId: string,
  clock: Clock,
  service: string,
  asSent: CallRequest | null,
): CallContext {
  const { address, identity, secure } = stream.connection.peer;
  return {
    place: "gateway",
    service,
    asSent,
    peerAddress: plan.client === "" ? address : plan.client,
    peerIdentity: identity,
    secure: plan.secure ?? secure,
    deadline: plan.timeoutMs === Number.POSITIVE_INFINITY ? plan.timeoutMs : clock.now() + plan.timeoutMs,
    callerAttempt: plan.callerAttempt > 0 && isBelieved(stream.connection.peer) ? plan.callerAttempt : 0,
    requestId,
  };
}
