import { randomUUID } from "node:crypto";
import type { DescMethod } from "@bufbuild/protobuf";
import { appendMetadata, Metadata } from "../call/metadata.ts";
import type { Clock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import { isRequestId } from "../core/request-id.ts";
import { DEFAULT_PRIORITY } from "../policy/machine/call-state.ts";
import { NOBODY, type Principal } from "../policy/machine/principal.ts";
import type { PeerInfo } from "../wire/stream.ts";

/** What a handler is told about the call it answers, and how it answers beyond messages. */
export interface ServerCall {
  readonly method: DescMethod;
  /**
   * Aborts when the caller cancels, goes away or its deadline passes; `signal.reason` is a WeftError (`cancelled` or
   * `deadline_exceeded`). Pass it to whatever the handler waits for. Outgoing calls of typed clients follow it by themselves.
   */
  readonly signal: AbortSignal;
  /** When the caller stops waiting, in monotonic ms (performance.now()); Infinity when it set no deadline. */
  readonly deadline: number;
  /** Milliseconds until the deadline, not below 0; Infinity without one. */
  timeRemainingMs(): number;
  /** The request's headers (gRPC: initial metadata), looked up by lower-case name. */
  readonly requestHeaders: Metadata;
  /** Whom the caller means to ask, by its own words: "shop.example:443" (`:authority`, or Host). */
  readonly authority: string;
  /**
   * Adds a response header (gRPC: initial metadata). A name that ends in `-bin` takes bytes. Throws `invalid_argument` for names and values that
   * cannot travel, and `failed_precondition` once the first message of the response was sent.
   */
  setHeader(name: string, value: string | Uint8Array): void;
  /** Adds a trailer (gRPC: trailing metadata; REST: a header prefixed `trailer-`). */
  setTrailer(name: string, value: string | Uint8Array): void;
  readonly peer: PeerInfo;
  /** The caller's `x-request-id`, or a new one. */
  readonly requestId: string;
  /** The user, as authentication at this service established it: `subject`, `issuer`, `claims`, `method`. Nobody (`method` and `subject` empty) where no
   * Authentication holds at the service, or where it lets callers without credentials pass. */
  readonly principal: Principal;
  /** 0 to 10, the higher the later it is shed; as admission at this service found it, otherwise 5. */
  readonly priority: number;
}

/** What policy's gates found out about a call. */
export interface CallerFacts {
  readonly principal: Principal;
  readonly priority: number;
}

/** The call as the server keeps it: cheap to make, everything costly is made when it is asked for. */
export class ServerCallState implements ServerCall {
  readonly method: DescMethod;
  readonly authority: string;
  readonly peer: PeerInfo;
  readonly deadline: number;
  readonly clock: Clock;
  /** The request's fields, flat. */
  readonly fields: readonly string[];
  /** Null when the call had no gates to pass. */
  readonly #caller: CallerFacts | null;
  /** Response headers and trailers that the handler set, flat; null when none. */
  headers: string[] | null = null;
  trailers: string[] | null = null;
  /** Fields that outgoing calls take over, flat; null until the first of them. Belongs to propagation.ts. */
  inherited: string[] | null = null;
  /** True once the response's head is on its way. */
  headSent = false;
  #requestHeaders: Metadata | null = null;
  #requestId = "";
  #controller: AbortController | null = null;
  #cancelled: WeftError | null = null;

  constructor(
    method: DescMethod,
    authority: string,
    fields: readonly string[],
    peer: PeerInfo,
    deadline: number,
    clock: Clock,
    caller: CallerFacts | null,
  ) {
    this.method = method;
    this.authority = authority;
    this.fields = fields;
    this.peer = peer;
    this.deadline = deadline;
    this.clock = clock;
    this.#caller = caller;
  }

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#cancelled !== null) this.#controller.abort(this.#cancelled);
    }
    return this.#controller.signal;
  }

  /** Why the call was given up, null while it was not. */
  get cancelled(): WeftError | null {
    return this.#cancelled;
  }

  /** The caller is gone or its deadline passed. Only the first reason counts. */
  cancel(reason: WeftError): void {
    if (this.#cancelled !== null) return;
    this.#cancelled = reason;
    this.#controller?.abort(reason);
  }

  get requestHeaders(): Metadata {
    return (this.#requestHeaders ??= new Metadata(this.fields));
  }

  get requestId(): string {
    if (this.#requestId === "") {
      const given = this.requestHeaders.get("x-request-id");
      this.#requestId = given !== undefined && isRequestId(given) ? given : randomUUID();
    }
    return this.#requestId;
  }

  get principal(): Principal {
    return frozen(this.#caller?.principal ?? NOBODY);
  }

  get priority(): number {
    return this.#caller?.priority ?? DEFAULT_PRIORITY;
  }

  timeRemainingMs(): number {
    return this.deadline === Number.POSITIVE_INFINITY ? this.deadline : Math.max(0, this.deadline - this.clock.now());
  }

  setHeader(name: string, value: string | Uint8Array): void {
    if (this.headSent) {
      throw new WeftError(
        "failed_precondition",
        `${this.method.parent.typeName}/${this.method.name}: header "${name}" was set after the response had begun; set it before the first message, or use setTrailer`,
        { reason: "HEADERS_SENT" },
      );
    }
    appendMetadata((this.headers ??= []), { [name]: value });
  }

  setTrailer(name: string, value: string | Uint8Array): void {
    appendMetadata((this.trailers ??= []), { [name]: value });
  }
}

/** What authentication remembers of a token is the same object for all its calls: no handler may change it for others. */
function frozen<T extends object>(value: T): T {
  const open: unknown[] = [value];
  while (open.length > 0) {
    const one = open.pop();
    if (typeof one !== "object" || one === null || Object.isFrozen(one)) continue;
    Object.freeze(one);
    open.push(...Object.values(one));
  }
  return value;
}

/** What is taken over into logs and outgoing calls: short, and nothing that could break a line or a header. */
