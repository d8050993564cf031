import { assertOneMessage, GrpcExchange, isThenable } from "./grpc-exchange.ts";

/** A call of a unary method: one message, one answer. */
export class GrpcUnaryExchange extends GrpcExchange {
  #request: unknown = undefined;
  #count = 0;

  override onMessage(bytes: Uint8Array, start: number, end: number, compressed: boolean): void {
    this.#count++;
    if (this.#count === 1) this.#request = this.decode(bytes, start, end, compressed);
  }

  protected override onRequestEnd(): void {
    assertOneMessage(this.plan.method.path, this.#count);
    const request = this.#request;
    this.#request = undefined;
    if (request instanceof Promise) request.then((message) => this.#run(message)).catch((thrown) => this.fail(thrown));
    else this.#run(request);
  }

  #run(request: unknown): void {
    if (this.done) return;
    const answer = this.invoke(request);
    if (isThenable(answer)) {
      const { gated } = this;
      gated?.working();
      answer.then(
        (message) => {
          gated?.idle();
          this.#answer(message);
        },
        (thrown) => {
          gated?.idle();
          this.fail(thrown);
        },
      );
    } else {
      this.sendMessage(answer);
      this.succeed();
    }
  }

  #answer(message: unknown): void {
    if (this.done) return;
    try {
      this.sendMessage(message);
      this.succeed();
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  protected override onClosed(): void {}

  override onWritable(): void {}
}
