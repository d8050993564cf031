import { VirtualClock } from "../core/clock.ts";
import { toWeftError, type WeftError } from "../core/errors.ts";
import { fieldOf } from "../core/fields.ts";
import { TimerWheel } from "../core/timer-wheel.ts";
import { type Head, requestHead } from "../wire/head.ts";
import type { HttpConnection, HttpStream, RequestHandler, StreamSink } from "../wire/stream.ts";
import { BufferBudget } from "./buffer-budget.ts";
import { CallScope } from "./call-scope.ts";
import type { AnyServiceDefinition } from "./definition.ts";
import { createDispatcher } from "./dispatch.ts";
import { InFlight } from "./environment.ts";
import type { ServerInterceptor } from "./interceptor.ts";
import { ServedCalls } from "./served-calls.ts";
import { ServerStatus } from "./server-status.ts";

/** A dispatcher under a clock that stands still, and a stream that records what it is told: for tests in which order and time matter. */
export function dispatcherUnderTest(
  definitions: readonly AnyServiceDefinition[],
  interceptors: readonly ServerInterceptor[] = [],
) {
  const clock = new VirtualClock();
  const errors: WeftError[] = [];
  const inFlight = new InFlight();
  const served = new ServedCalls(clock);
  const scope = new CallScope();
  const buffers = new BufferBudget(10_000_000);
  const status = new ServerStatus();
  status.set("serving");
  const environment = {
    clock,
    wheel: new TimerWheel(clock),
    scope,
    inFlight,
    served,
    load: null,
    gates: null,
    buffers,
    onError: (error: WeftError) => void errors.push(toWeftError(error)),
  };
  const handler = createDispatcher({ definitions, environment, status, interceptors });
  return { clock, errors, inFlight, served, buffers, scope, status, handler };
}

/** One exchange as the handler sees it. */
export class RecordedStream implements HttpStream {
  sink!: StreamSink;
  owner: unknown = null;
  closed = false;
  bufferedBytes = 0;
  readonly connection: HttpConnection;
  /** The response. */
  head: Head | null = null;
  headFields: readonly string[] = [];
  trailers: readonly string[] | null = null;
  ended = false;
  resetCode: number | null = null;
  credited = 0;
  sends = 0;
  /** While true, sendData answers false. */
  full = false;
  readonly #body: Uint8Array[] = [];

  constructor(version: "1.1" | "2" = "2") {
    this.connection = {
      version,
      peer: { address: "127.0.0.1:5", localAddress: "127.0.0.1:6", secure: false, identity: "" },
      openStreams: 1,
      drain() {},
      close() {},
    };
  }

  sendHead(head: Head, extra: readonly string[] | null, fin: boolean): void {
    if (this.head !== null) throw new Error("a second head");
    this.head = head;
    this.headFields = [...head.fields, ...(extra ?? [])];
    this.ended = fin;
  }

  sendData(bytes: Uint8Array, start: number, end: number, fin: boolean): boolean {
    if (this.head === null) throw new Error("data before the head");
    if (this.ended) throw new Error("data after the end");
    this.#body.push(Buffer.from(bytes.subarray(start, end)));
    this.ended = fin;
    this.sends++;
    return !this.full;
  }

  sendTrailers(head: Head, extra: readonly string[] | null): void {
    if (this.head === null || this.ended) throw new Error("trailers at the wrong time");
    this.trailers = [...head.fields, ...(extra ?? [])];
    this.ended = true;
  }

  reset(code: number): void {
    this.resetCode = code;
    this.closed = true;
  }

  credit(bytes: number): void {
    this.credited += bytes;
  }

  // --- the peer ---------------------------------------------------------------------------------------------------

  /** Sends the request's head, and body with the end when there is one. */
  request(handler: RequestHandler, head: Head, body: Uint8Array | null = null): this {
    handler.onRequest(this, head, body === null);
    if (body !== null) this.send(body, true);
    return this;
  }

  send(bytes: Uint8Array, fin: boolean): void {
    this.sink.onData(this, bytes, 0, bytes.length, fin);
  }

  cancel(): void {
    this.closed = true;
    this.sink.onReset(this, { kind: "reset", code: 8, unprocessed: false, message: "RST_STREAM CANCEL" });
  }

  // --- what came back ---------------------------------------------------------------------------------------------

  get status(): number {
    return this.head?.status ?? 0;
  }

  header(name: string): string | undefined {
    return fieldOf(this.headFields, name);
  }

  get body(): Buffer {
    return Buffer.concat(this.#body);
  }

  get json(): Record<string, unknown> {
    return JSON.parse(this.body.toString());
  }

  get grpcStatus(): number {
    return Number(fieldOf(this.trailers ?? this.headFields, "grpc-status") ?? -1);
  }

  get grpcMessage(): string {
    return decodeURIComponent(fieldOf(this.trailers ?? this.headFields, "grpc-message") ?? "");
  }

  /** The gRPC messages of the body. */
  get messages(): Buffer[] {
    const found: Buffer[] = [];
    const { body } = this;
    for (let at = 0; at < body.length; at += 5 + body.readUInt32BE(at + 1)) {
      found.push(body.subarray(at + 5, at + 5 + body.readUInt32BE(at + 1)));
    }
    return found;
  }
}

export function grpcHead(path: string, fields: readonly string[] = []): Head {
  return requestHead("POST", "http", "localhost", path, [
    "content-type",
    "application/grpc",
    "te",
    "trailers",
    ...fields,
  ]);
}

export function restHead(method: string, path: string, fields: readonly string[] = []): Head {
  return requestHead(method, "http", "localhost", path, fields);
}

/** A gRPC message behind its prefix. */
export function framed(message: Uint8Array, flag = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Lets everything that is ready to run do so. */
export async function settle(): Promise<void> {
  await new Promise(setImmediate);
  await new Promise(setImmediate);
}
