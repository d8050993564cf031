import { hostOfAddress } from "../../core/network.ts";
import type { CallContext, CallRequest } from "../call.ts";
import type { CallState } from "../machine/call-state.ts";
import type { Principal } from "../machine/principal.ts";
import { knownFields, sentBy } from "../machine/request-values.ts";
import { SessionRequest } from "../route/session-request.ts";
import { type PathForms, pathForms } from "./authorization-path.ts";

/** What rules look at, of one call; what costs something is worked out when a rule asks. Reused from call to call. */
export class RuleInput {
  request!: CallRequest;
  caller!: CallContext;
  principal!: Principal;
  /** "shop.v1.Orders/Place"; of requests that could be gRPC. */
  grpcMethod = "";
  /** Of bytes (TCP, UDP, TLS), not of HTTP. */
  session = false;
  /** Those that the rule may send to. */
  services: readonly string[] = [];
  #path: PathForms | null = null;
  #host: string | null = null;
  #address: string | null = null;
  #call!: CallState;
  #now = 0;

  of(call: CallState, services: readonly string[], now: number): this {
    this.services = services;
    this.#call = call;
    this.#now = now;
    this.request = call.vouched === null ? sentBy(call) : { ...sentBy(call), fields: knownFields(call) };
    this.session = call.request instanceof SessionRequest;
    this.caller = call.caller;
    this.principal = call.principal;
    // Also of gRPC-Web and Connect, whose paths are the same: rules must not depend on how a method is called.
    const known = call.plan?.method ?? null;
    this.grpcMethod = known !== null || call.request.method === "POST" ? methodOf(call.request.path) : "";
    this.#path = this.#host = this.#address = null;
    return this;
  }

  /** As it was sent, also where it was turned into gRPC. */
  get path(): PathForms {
    return (this.#path ??= pathForms(this.request.path));
  }

  /** Lower-case, without a port. */
  get host(): string {
    return (this.#host ??= this.request.authority.toLowerCase().replace(/\.?(:\d+)?$/, ""));
  }

  /** Without its port. */
  get address(): string {
    return (this.#address ??= hostOfAddress(this.caller.peerAddress));
  }

  /** Epoch ms. */
  get wall(): number {
    return this.#call.tape.read(this.#call.shared.wallAt + this.#now);
  }
}

function methodOf(path: string): string {
  const mark = path.indexOf("?");
  return mark < 0 ? path.slice(1) : path.slice(1, mark);
}
