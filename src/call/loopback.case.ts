import { fieldOf } from "../core/fields.ts";
import { listen } from "../net/listener.ts";
import type { ListenOptions } from "../net/types.ts";
import { frameMessage } from "../wire/grpc/message-prefix.ts";
import { MessageReader } from "../wire/grpc/message-reader.ts";
import { type Head, responseHead, trailersHead } from "../wire/head.ts";
import type { HttpConnection, HttpStream, StreamFailure, StreamSink } from "../wire/stream.ts";
import { copyBytes } from "./copy-bytes.ts";

/** A server on loopback made of net/ and wire/ alone, for the tests of call/: what each call gets is written by the test. */
export interface WireServer extends AsyncDisposable {
  readonly port: number;
  readonly address: string;
  /** Heads of the requests, in order. */
  readonly heads: readonly Head[];
  /** Calls whose stream is open now. */
  readonly open: ReadonlySet<WireCall>;
  /** Cuts every connection. */
  cut(): void;
  close(): Promise<void>;
}

export async function startWireServer(
  serve: (call: WireCall) => void,
  options: Omit<ListenOptions, "handler"> = {},
): Promise<WireServer> {
  const heads: Head[] = [];
  const open = new Set<WireCall>();
  const connections = new Set<HttpConnection>();
  const listener = await listen({
    onConnectionError: (_peer, message) => console.error(`test server: ${message}`), // a mistake of the test's
    ...options,
    handler: {
      onRequest(stream, head, fin) {
        heads.push(head);
        connections.add(stream.connection);
        const call = new WireCall(stream, head, open);
        stream.sink = call;
        serve(call);
        if (fin) call.onData(stream, new Uint8Array(0), 0, 0, true);
      },
    },
  });
  const close = async (): Promise<void> => {
    for (const connection of connections) connection.close();
    await listener.close();
  };
  return {
    port: listener.port,
    address: `127.0.0.1:${listener.port}`,
    heads,
    open,
    cut() {
      for (const connection of connections) connection.close();
      connections.clear();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** One request as a test's server sees it. gRPC messages and raw body bytes are both told. */
export class WireCall implements StreamSink {
  readonly stream: HttpStream;
  readonly head: Head;
  onMessage: (bytes: Uint8Array) => void = () => {};
  onBody: (bytes: Uint8Array) => void = () => {};
  onEnd: () => void = () => {};
  onCancelled: (failure: StreamFailure) => void = () => {};
  onDrain: () => void = () => {};
  /** Set by servers that have paused: reads on. */
  readOn: () => void = () => {};
  /** False: received bytes are not credited, as by a server that does not read. */
  credits = true;
  readonly #open: Set<WireCall>;
  readonly #reader = new MessageReader(16 << 20);
  readonly #grpc: boolean;

  constructor(stream: HttpStream, head: Head, open: Set<WireCall>) {
    this.stream = stream;
    this.head = head;
    this.#open = open;
    this.#grpc = fieldOf(head.fields, "content-type")?.startsWith("application/grpc") ?? false;
    open.add(this);
  }

  // --- answering ----------------------------------------------------------------------------------------------

  sendHead(extra: readonly string[] = []): void {
    this.stream.sendHead(responseHead(200, ["content-type", "application/grpc", ...extra]), null, false);
  }

  sendMessage(payload: Uint8Array, compressed = false): boolean {
    const bytes = frameMessage(payload, compressed);
    return this.stream.sendData(bytes, 0, bytes.length, false);
  }

  sendStatus(status: number, extra: readonly string[] = []): void {
    this.stream.sendTrailers(trailersHead(["grpc-status", String(status), ...extra]), null);
    this.#open.delete(this);
  }

  /** The whole answer of a unary call. */
  reply(payload: Uint8Array): void {
    this.sendHead();
    this.sendMessage(payload);
    this.sendStatus(0);
  }

  /** A trailers-only answer. */
  fail(status: number, message = "", extra: readonly string[] = []): void {
    const fields = [
      "content-type",
      "application/grpc",
      "grpc-status",
      String(status),
      "grpc-message",
      message,
      ...extra,
    ];
    this.stream.sendHead(responseHead(200, fields), null, true);
    this.#open.delete(this);
  }

  /** A plain HTTP answer. */
  answer(status: number, body: string, extra: readonly string[] = []): void {
    const bytes = Buffer.from(body);
    this.stream.sendHead(
      responseHead(status, ["content-length", String(bytes.length), ...extra]),
      null,
      bytes.length === 0,
    );
    if (bytes.length > 0) this.stream.sendData(bytes, 0, bytes.length, true);
    this.#open.delete(this);
  }

  // --- StreamSink ---------------------------------------------------------------------------------------------

  onHead(): void {}

  onData(stream: HttpStream, chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    if (end > start) {
      this.onBody(copyBytes(chunk, start, end));
      if (this.#grpc) {
        this.#reader.read(chunk, start, end, {
          onMessage: (bytes, from, to) => this.onMessage(copyBytes(bytes, from, to)),
        });
      }
      if (this.credits) stream.credit(end - start);
    }
    if (fin) this.onEnd();
  }

  onTrailers(): void {
    this.onEnd();
  }

  onReset(_stream: HttpStream, failure: StreamFailure): void {
    this.#open.delete(this);
    this.onCancelled(failure);
  }

  onWritable(): void {
    this.onDrain();
  }
}
