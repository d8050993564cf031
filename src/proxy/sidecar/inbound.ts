import { carryExchange, type ExchangeHooks } from "../../call/exchange.ts";
import { PEER_FIELD } from "../../call/peer-field.ts";
import type { Carrier } from "../../call/types.ts";
import type { Clock } from "../../core/clock.ts";
import type { IdSource } from "../../telemetry/trace.ts";
import type { Head } from "../../wire/head.ts";
import type { RequestHandler } from "../../wire/stream.ts";
import { answerError } from "../answer-error.ts";
import type { CallEnd } from "../call-end.ts";
import { callFields } from "../call-fields.ts";
import { RequestPlan, RequestShapes } from "./request-plan.ts";

export interface InboundOptions {
  /** Its policy forwards calls at place "server" to the application (PolicyRuntime.forwardTo). */
  carrier: Carrier;
  clock: Clock;
  ids: IdSource;
  /** The service that the application is. */
  service: string;
  onBegin(): void;
  onEnd(request: Head, peer: string, end: CallEnd): void;
}

/**
 * Calls for the application, from whoever calls it: through the gates that hold at a server, then on to it, once.
 *
 * The peer's identity comes from its certificate alone. Without one, fields that hops say to each other are taken out.
 */
export function createInboundHandler(options: InboundOptions): RequestHandler {
  const { carrier, clock, ids, service, onBegin, onEnd } = options;
  const hooks: ExchangeHooks = {
    passesLoad: true,
    holdsHeads: true,
    // No request id on answers: whoever passes them on to their caller says it, and heads that are equal need no second look.
    onEnd: (exchange, decision) => onEnd(exchange.request, exchange.context.peerAddress, decision),
  };
  const shapes = new RequestShapes();
  return {
    onRequest(stream, head, fin) {
      const { peer } = stream.connection;
      const trusted = peer.identity !== "";
      let plan = head.memo as RequestPlan | null;
      if (!(plan instanceof RequestPlan) || plan.shape.trusted !== trusted)
        head.memo = plan = new RequestPlan(head, shapes.of(head, trusted, null));
      onBegin();
      const requestId = plan.requestId === "" ? ids.next() : plan.requestId;
      if (plan.error !== null) {
        onEnd(head, peer.address, answerError(stream, head, fin, plan.grpc, plan.error, requestId));
        return;
      }
      const context = {
        place: "server",
        service,
        asSent: null,
        peerAddress: peer.address,
        peerIdentity: peer.identity,
        secure: peer.secure,
        deadline: plan.timeoutMs === Number.POSITIVE_INFINITY ? plan.timeoutMs : clock.now() + plan.timeoutMs,
        callerAttempt: plan.callerAttempt,
        requestId,
      } as const;
      const fields = callFields(stream, plan, requestId, ids);
      if (peer.identity !== "") fields.push(PEER_FIELD, peer.identity);
      carryExchange(carrier, stream, plan.onward, fin, context, fields, hooks);
    },
  };
}
