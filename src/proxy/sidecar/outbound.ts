import { carryExchange, type ExchangeHooks } from "../../call/exchange.ts";
import type { Carrier } from "../../call/types.ts";
import type { Clock } from "../../core/clock.ts";
import { toWeftError, WeftError } from "../../core/errors.ts";
import type { TunnelServer } from "../../net/tunnel-server.ts";
import type { CallContext } from "../../policy/call.ts";
import type { IdSource } from "../../telemetry/trace.ts";
import type { Head } from "../../wire/head.ts";
import type { HttpStream, PeerInfo, RequestHandler } from "../../wire/stream.ts";
import { answerError } from "../answer-error.ts";
import type { CallEnd } from "../call-end.ts";
import { type Destination, parseDestination } from "./destination.ts";
import type { Egress } from "./egress.ts";
import type { FollowedServices } from "./followed-services.ts";
import { RequestPlan, type RequestShape, RequestShapes } from "./request-plan.ts";
import { openHostTunnel, openServiceTunnel, type TakeBytes } from "./tunnels.ts";
import { WaitingRequest } from "./waiting-request.ts";

export interface OutboundOptions {
  carrier: Carrier;
  clock: Clock;
  ids: IdSource;
  services: FollowedServices;
  egress: Egress;
  tunnels: TunnelServer;
  /** Connections to services of the mesh whose bytes are not HTTP. */
  bytes: TakeBytes;
  /** SPIFFE id of the application, whose calls these are; "" when it has none. */
  identity: () => string;
  /** Whether an address is one of the sidecar's own. */
  isOwn(host: string, port: number): boolean;
  onEnd(request: Head, peer: string, end: CallEnd): void;
}

/** The outbound side: makes handlers for its listeners. */
export interface Outbound {
  /** `given` says where a connection was to go, for listeners that know (virtual addresses, intercepted connections); null leaves it to each request. */
  handler(given: (peer: PeerInfo) => Destination | null): RequestHandler;
}

/**
 * The application's calls, top to bottom:
 *
 *     CONNECT        a tunnel: its bytes are calls again, or bytes; outside of the mesh it is passed through
 *     plan           once for each interned head: where it goes, deadline, trace, request id
 *     follow         the first call to a service waits until the control plane has told its state
 *     carry          at place "sidecar": routes, splits, retries, breakers... all of policy
 *     egress         what the mesh does not know: passed through as it is, or refused
 */
export function createOutbound(options: OutboundOptions): Outbound {
  return new Out(options);
}

class Out implements Outbound {
  readonly #options: OutboundOptions;
  readonly #shapes = new RequestShapes();
  readonly #hooks: ExchangeHooks;
  readonly #outside: ExchangeHooks;
  /** What this sidecar is called in `via`, by which it knows a request that it has sent out itself. */
  readonly #pseudonym: string;

  constructor(options: OutboundOptions) {
    const { onEnd } = options;
    this.#options = options;
    this.#pseudonym = `weft-${options.ids.next().slice(-12)}`;
    this.#hooks = {
      responseFields: (exchange) => ["x-request-id", exchange.context.requestId],
      onEnd: (exchange, decision) => onEnd(exchange.request, exchange.context.peerAddress, decision),
    };
    this.#outside = {
      onEnd({ request, context }, { requestId, durationMs, outcome }) {
        onEnd(request, context.peerAddress, { requestId, service: OUTSIDE, durationMs, attempts: [], outcome });
      },
    };
  }

  handler(given: (peer: PeerInfo) => Destination | null): RequestHandler {
    return { onRequest: (stream, head, fin) => this.#request(stream, head, fin, given(stream.connection.peer)) };
  }

  #request(stream: HttpStream, head: Head, fin: boolean, given: Destination | null): void {
    if (head.method === "CONNECT" && head.protocol === "") return this.#connect(stream, head);
    let plan = head.memo as RequestPlan | null;
    if (!(plan instanceof RequestPlan) || plan.shape.given !== given)
      head.memo = plan = new RequestPlan(head, this.#shapes.of(head, true, given));
    const { shape } = plan;
    const { destination = this.#find(shape), service } = shape;
    if (plan.error !== null || shape.error !== null || destination === null) {
      this.#refuse(stream, head, fin, plan, plan.error ?? shape.error ?? unreadable(head.authority));
    } else if (service === null) this.#passOut(stream, head, fin, plan, destination);
    else if (service.ready) this.#carry(stream, head, fin, plan);
    else {
      const known = plan;
      const waiting = new WaitingRequest(stream);
      service.whenReady().then(
        () => waiting.goOn(() => this.#carry(stream, head, fin, known)),
        (thrown) => waiting.goOn(() => this.#refuse(stream, head, fin, known, toWeftError(thrown))),
      );
    }
  }

  /** Finds out where requests of this shape go. */
  #find(shape: RequestShape): Destination | null {
    const { services, isOwn } = this.#options;
    const { given, grpc, onward: head } = shape;
    let destination = given ?? parseDestination(head.authority);
    if (given === null && destination?.kind === "host" && isOwn(destination.host, destination.port)) {
      // Who calls the sidecar by its own address says the service by its contract, which a gRPC path names.
      const contract = grpc ? head.path.slice(1, head.path.lastIndexOf("/")) : "";
      destination = parseDestination(contract);
      if (destination?.kind !== "service") shape.error = nobodyNamed(head.authority);
    }
    // A gRPC client that names the contract as its authority can only mean the mesh.
    if (destination?.kind === "service" && grpc && head.path.startsWith(`/${destination.service}/`))
      destination = { ...destination, certain: true };
    if (destination?.kind === "service") {
      shape.service = services.of(destination.follow);
      if (shape.service === null) shape.error = tooMany(services.size);
    }
    return (shape.destination = destination);
  }

  /** To a service that is followed. */
  #carry(stream: HttpStream, head: Head, fin: boolean, plan: RequestPlan): void {
    const { carrier, ids } = this.#options;
    const { destination, service } = plan.shape;
    if (destination?.kind !== "service" || service === null) return;
    if (!destination.certain && !service.known) return this.#passOut(stream, head, fin, plan, destination);
    const requestId = plan.requestId === "" ? ids.next() : plan.requestId;
    const context = this.#context(stream, plan, destination.service, requestId);
    const fields = ["x-request-id", requestId, "traceparent", ids.child(plan.trace)];
    if (plan.forwardedFor !== "") fields.push("x-forwarded-for", plan.forwardedFor);
    carryExchange(carrier, stream, plan.onward, fin, context, fields, this.#hooks);
  }

  #passOut(stream: HttpStream, head: Head, fin: boolean, plan: RequestPlan, destination: Destination): void {
    const { egress, ids } = this.#options;
    const refusal = egress.refusal(destination);
    if (refusal !== null) return this.#refuse(stream, head, fin, plan, refusal);
    const http2 = stream.connection.version === "2";
    const { carrier, service } = egress.carrierTo(destination, http2);
    if (hasPassed(head, this.#pseudonym)) return this.#refuse(stream, head, fin, plan, loops(head.authority));
    const requestId = plan.requestId === "" ? ids.next() : plan.requestId;
    carryExchange(
      carrier,
      stream,
      plan.onward,
      fin,
      this.#context(stream, plan, service, requestId),
      ["via", `${stream.connection.version} ${this.#pseudonym}`],
      this.#outside,
    );
  }

  #context(stream: HttpStream, plan: RequestPlan, service: string, requestId: string): CallContext {
    const { clock, identity } = this.#options;
    return {
      place: "sidecar",
      service,
      asSent: null,
      peerAddress: stream.connection.peer.address,
      peerIdentity: identity(),
      secure: false,
      deadline: plan.timeoutMs === Number.POSITIVE_INFINITY ? plan.timeoutMs : clock.now() + plan.timeoutMs,
      callerAttempt: plan.callerAttempt,
      requestId,
    };
  }

  #connect(stream: HttpStream, head: Head): void {
    const { services, egress, tunnels, bytes, isOwn } = this.#options;
    const destination = parseDestination(head.authority);
    if (destination === null) return this.#refuseTunnel(stream, head, unreadable(head.authority));
    if (destination.kind === "host" && isOwn(destination.host, destination.port))
      return this.#refuseTunnel(stream, head, nobodyNamed(head.authority));
    const service = destination.kind === "service" ? services.of(destination.follow) : null;
    const serve = (): void =>
      openServiceTunnel(
        stream,
        destination,
        tunnels,
        this.handler(() => destination),
        bytes,
      );
    const passOut = (): void => {
      const refusal = egress.refusal(destination);
      if (refusal !== null) return this.#refuseTunnel(stream, head, refusal);
      openHostTunnel(stream, destination, isOwn, (message) =>
        this.#refuseTunnel(stream, head, unreached(head, message)),
      );
    };
    if (destination.kind === "host") return passOut();
    if (service === null) return this.#refuseTunnel(stream, head, tooMany(services.size));
    const ready = (): void => (destination.certain || service.known ? serve() : passOut());
    if (service.ready) return ready();
    const waiting = new WaitingRequest(stream);
    service.whenReady().then(
      () => waiting.goOn(ready),
      (thrown) => waiting.goOn(() => this.#refuseTunnel(stream, head, toWeftError(thrown))),
    );
  }

  #refuse(stream: HttpStream, head: Head, fin: boolean, plan: RequestPlan, error: WeftError): void {
    const { onEnd, ids } = this.#options;
    const requestId = plan.requestId === "" ? ids.next() : plan.requestId;
    onEnd(head, stream.connection.peer.address, answerError(stream, head, fin, plan.grpc, error, requestId));
  }

  #refuseTunnel(stream: HttpStream, head: Head, error: WeftError): void {
    const { onEnd, ids } = this.#options;
    onEnd(head, stream.connection.peer.address, answerError(stream, head, true, false, error, ids.next()));
  }
}

/** As metrics and logs name what is not the mesh's: names of hosts would be without number. */
const OUTSIDE = "(outside)";

function unreadable(authority: string): WeftError {
  return new WeftError("invalid_argument", `"${authority.slice(0, 100)}" is no host and port`, {
    reason: "BAD_AUTHORITY",
  });
}

function nobodyNamed(authority: string): WeftError {
  return new WeftError(
    "invalid_argument",
    `${authority} is the sidecar itself; say which service is meant: as the host, NAME.weft, or by an HTTP proxy setting`,
    { reason: "NO_SERVICE_NAMED" },
  );
}

/** Names that lead back here are without number ("0.0.0.0", whatever a DNS server answers); what has come by shows it. */
function hasPassed({ fields }: Head, pseudonym: string): boolean {
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === "via" && fields[i + 1].includes(pseudonym)) return true;
  return false;
}

function loops(authority: string): WeftError {
  return new WeftError("failed_precondition", `${authority} leads back to this sidecar: the request went in a circle`, {
    reason: "PROXY_LOOP",
  });
}

function tooMany(count: number): WeftError {
  return new WeftError("resource_exhausted", `this sidecar follows ${count} services already, and no more`, {
    reason: "TOO_MANY_SERVICES",
  });
}

function unreached(head: Head, message: string): WeftError {
  return new WeftError("unavailable", `${head.authority} cannot be reached: ${message}`, { reason: "UNREACHABLE" });
}
