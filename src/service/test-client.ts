import type { DescService, Message } from "@bufbuild/protobuf";
import type { CallOptions, Client, Messages } from "../call/client-types.ts";
import { Metadata } from "../call/metadata.ts";
import type { Codec } from "../contract/types.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { toWeftError, WeftError } from "../core/errors.ts";
import { DEFAULT_PRIORITY } from "../policy/machine/call-state.ts";
import { NOBODY, type Principal } from "../policy/machine/principal.ts";
import type { PeerInfo } from "../wire/stream.ts";
import type { ServiceDefinition } from "./definition.ts";
import { type BoundMethod, bindMethods, isStreaming } from "./method.ts";
import { type CallerFacts, ServerCallState } from "./server-call.ts";

/** Calls a definition's handlers in this process, with the types of the network client. */
export type TestClient<S extends DescService> = Client<S>;

export interface TestClientOptions {
  /** Measures deadlines. Default: the system's. */
  clock?: Clock;
  /** Who seems to call. Default "in-process". */
  peer?: Partial<PeerInfo>;
  /** Who seems to have been authenticated. Default: nobody. */
  principal?: Partial<Principal>;
  /** What the calls seem to matter, 0 to 10. Default 5. */
  priority?: number;
}

/**
 * A client without sockets, for tests and simulations. Interceptors run, messages pass through the contract's codec both ways (so that what would
 * fail on the wire fails here), deadlines, cancellation and metadata work as over the network.
 */
export function createTestClient<S extends DescService>(
  definition: ServiceDefinition<S>,
  options: TestClientOptions = {},
): TestClient<S> {
  const clock = options.clock ?? systemClock;
  const peer: PeerInfo = {
    address: "in-process",
    localAddress: "in-process",
    secure: false,
    identity: "",
    ...options.peer,
  };
  const caller: CallerFacts = {
    principal: { ...NOBODY, ...options.principal },
    priority: options.priority ?? DEFAULT_PRIORITY,
  };
  const client: Record<string, unknown> = {};
  for (const method of bindMethods(definition)) {
    client[method.desc.localName] = (request: unknown, callOptions: CallOptions = {}) => {
      const call = new LocalCall(method, callOptions, clock, peer, caller);
      return isStreaming(method.kind).response ? call.stream(request) : call.unary(request);
    };
  }
  return client as TestClient<S>;
}

class LocalCall {
  readonly #method: BoundMethod;
  readonly #options: CallOptions;
  readonly #call: ServerCallState;
  /** Rejects when the caller gives up. */
  readonly #givenUp: Promise<never>;
  #release: () => void;

  constructor(method: BoundMethod, options: CallOptions, clock: Clock, peer: PeerInfo, caller: CallerFacts) {
    this.#method = method;
    this.#options = options;
    const timeoutMs = options.timeoutMs ?? method.options.defaultTimeoutMs;
    const call = new ServerCallState(
      method.desc,
      "",
      Metadata.from(options.metadata).fields,
      peer,
      clock.now() + timeoutMs,
      clock,
      caller,
    );
    this.#call = call;
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => {});
    this.#givenUp = promise;
    const giveUp = (error: WeftError) => {
      call.cancel(error);
      reject(error);
    };
    const stopTimer =
      timeoutMs === Number.POSITIVE_INFINITY
        ? () => {}
        : clock.after(timeoutMs, () =>
            giveUp(
              new WeftError("deadline_exceeded", `${method.path} took longer than ${timeoutMs} ms`, {
                reason: "DEADLINE_EXCEEDED",
              }),
            ),
          );
    const { signal } = options;
    const onAbort = () =>
      giveUp(
        new WeftError("cancelled", `${method.path} was cancelled by its caller`, {
          reason: "CANCELLED",
          cause: signal?.reason,
        }),
      );
    if (signal?.aborted === true) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
    this.#release = () => {
      stopTimer();
      signal?.removeEventListener("abort", onAbort);
    };
  }

  async unary(request: unknown): Promise<Message> {
    try {
      const answer = await Promise.race([this.#invoke(request), this.#givenUp]);
      const message = roundTrip(this.#method.output, answer);
      this.#headers();
      return message;
    } catch (thrown) {
      throw toWeftError(thrown);
    } finally {
      this.#end();
    }
  }

  async *stream(request: unknown): AsyncGenerator<Message> {
    let iterator: AsyncIterator<unknown> | Iterator<unknown> | null = null;
    try {
      const answer = (await Promise.race([this.#invoke(request), this.#givenUp])) as Partial<
        AsyncIterable<unknown> & Iterable<unknown>
      >;
      iterator = answer[Symbol.asyncIterator]?.() ?? answer[Symbol.iterator]?.() ?? null;
      if (iterator === null)
        throw new TypeError(`the handler of ${this.#method.path} returned no iterable; make it "async *"`);
      for (;;) {
        const { done, value } = await Promise.race([iterator.next(), this.#givenUp]);
        if (done === true) break;
        const message = roundTrip(this.#method.output, value);
        this.#headers();
        yield message;
      }
      iterator = null;
    } catch (thrown) {
      throw toWeftError(thrown);
    } finally {
      // Only a caller that stopped early leaves an iterator here.
      if (iterator !== null) {
        this.#call.cancel(new WeftError("cancelled", "the caller stopped reading", { reason: "CANCELLED" }));
        void Promise.resolve(iterator.return?.()).catch(() => {});
      }
      this.#end();
    }
  }

  /** Runs the handler; what it throws at once becomes a rejection. */
  async #invoke(request: unknown): Promise<unknown> {
    const { input, invoke, kind } = this.#method;
    const message = isStreaming(kind).request
      ? checkedMessages(input, request as Messages<unknown>, this.#givenUp)
      : roundTrip(input, request);
    return await (invoke(message, this.#call) as unknown);
  }

  #headers(): void {
    if (this.#call.headSent) return;
    this.#call.headSent = true;
    this.#options.onHeader?.(new Metadata(this.#call.headers ?? []));
  }

  #end(): void {
    this.#release();
    this.#options.onTrailer?.(new Metadata(this.#call.trailers ?? []));
  }
}

async function* checkedMessages(
  codec: Codec,
  messages: Messages<unknown>,
  givenUp: Promise<never>,
): AsyncGenerator<Message> {
  const source = messages as Partial<AsyncIterable<unknown> & Iterable<unknown>>;
  const iterator = source[Symbol.asyncIterator]?.() ?? source[Symbol.iterator]?.();
  if (iterator === undefined)
    throw new WeftError("invalid_argument", "the request must be an iterable of messages", { reason: "BAD_REQUEST" });
  try {
    for (;;) {
      const { done, value } = await Promise.race([iterator.next(), givenUp]);
      if (done === true) return;
      yield roundTrip(codec, value);
    }
  } finally {
    void Promise.resolve(iterator.return?.()).catch(() => {});
  }
}

/** What arrives on the other side of a wire. */
function roundTrip(codec: Codec, message: unknown): Message {
  const bytes = codec.encode(message as never);
  return codec.decode(bytes, 0, bytes.length);
}
