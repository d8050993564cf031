import type { InboundCall } from "../call/inbound.ts";
import type { WeftError } from "../core/errors.ts";
import type { Head } from "../wire/head.ts";
import type { HttpStream } from "../wire/stream.ts";
import { assertOneMessage, GrpcExchange, type GrpcPlan, isThenable } from "./grpc-exchange.ts";
import { RequestQueue } from "./request-queue.ts";
import { pump, type ResponseWriter } from "./response-pump.ts";

/** A call of a streaming method, in either or both directions. */
export class GrpcStreamExchange extends GrpcExchange implements ResponseWriter {
  /** Messages on their way to the handler; null when the method takes one message. */
  readonly #requests: RequestQueue<unknown> | null;
  readonly #streamsResponse: boolean;
  #single: unknown = undefined;
  #count = 0;
  #writable: (() => void) | null = null;
  #stop: (() => void) | null = null;

  constructor(plan: GrpcPlan, stream: HttpStream, head: Head, gated: InboundCall | null) {
    super(plan, stream, head, gated);
    const { kind } = plan.method;
    this.#streamsResponse = kind !== "client_streaming";
    this.#requests =
      kind === "server_streaming" ? null : new RequestQueue((bytes) => stream.credit(bytes), plan.environment.buffers);
  }

  /** Starts the handler when it does not wait for the request's message. Called once the exchange is the stream's sink. */
  start(): void {
    if (this.#requests !== null) this.#run(this.#requests);
  }

  protected override received(bytes: number): void {
    if (this.#requests === null) super.received(bytes);
    else this.#requests.received(bytes);
  }

  override onMessage(bytes: Uint8Array, start: number, end: number, compressed: boolean): void {
    const message = this.decode(bytes, start, end, compressed);
    this.#count++;
    if (this.#requests !== null) this.#requests.push(message);
    else if (this.#count === 1) this.#single = message;
  }

  protected override onRequestEnd(): void {
    if (this.#requests !== null) {
      this.#requests.end();
      return;
    }
    assertOneMessage(this.plan.method.path, this.#count);
    const request = this.#single;
    this.#single = undefined;
    if (request instanceof Promise)
      request.then(
        (message) => this.#run(message),
        (thrown) => this.fail(thrown),
      );
    else this.#run(request);
  }

  #run(request: unknown): void {
    if (this.done) return;
    try {
      const answer = this.invoke(request);
      if (isThenable(answer))
        answer.then(
          (value) => this.#respond(value),
          (thrown) => this.fail(thrown),
        );
      else this.#respond(answer);
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  #respond(answer: unknown): void {
    if (this.#streamsResponse) {
      this.#stop = this.plan.environment.scope.run(this.call, () => pump(answer, this));
      return;
    }
    if (this.done) return;
    try {
      this.sendMessage(answer);
      this.succeed();
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  // --- ResponseWriter -----------------------------------------------------------------------------------------------

  get closed(): boolean {
    return this.done;
  }

  write(message: unknown): boolean {
    return this.sendMessage(message);
  }

  writable(): Promise<void> {
    return new Promise((resolve) => {
      this.#writable = resolve;
    });
  }

  end(): void {
    this.succeed();
  }

  error(thrown: unknown): void {
    this.fail(thrown);
  }

  override onWritable(): void {
    const resolve = this.#writable;
    this.#writable = null;
    resolve?.();
  }

  protected override onFinished(): void {
    // A handler that still reads hears the reason from onClosed, or the end.
    if (this.call.cancelled === null) this.#requests?.discard();
  }

  protected override onClosed(reason: WeftError): void {
    this.#requests?.end(reason);
    this.#requests?.discard();
    this.onWritable();
    this.#stop?.();
  }
}
