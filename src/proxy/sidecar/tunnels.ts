import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { mayBeHttp1, PrefaceMatcher } from "../../net/preface.ts";
import type { TunnelServer } from "../../net/tunnel-server.ts";
import { responseHead } from "../../wire/head.ts";
import type { HttpStream, RequestHandler, StreamSink } from "../../wire/stream.ts";
import type { Destination, HostDestination } from "./destination.ts";
import { StreamDuplex } from "./stream-duplex.ts";

/** Takes a connection to a service whose bytes are not HTTP, with what came of them. It owns the connection from then on. */
export type TakeBytes = (connection: Duplex, received: Uint8Array, destination: Destination) => void;

/**
 * Grants a CONNECT to a service of the mesh, and does with its bytes what they ask for: HTTP/2 and HTTP/1 are calls under policy, anything else are bytes.
 */
export function openServiceTunnel(
  stream: HttpStream,
  destination: Destination,
  server: TunnelServer,
  handler: RequestHandler,
  bytes: TakeBytes,
): void {
  stream.sendHead(GRANTED, null, false);
  stream.sink = new FirstBytes(stream, destination, server, handler, bytes);
}

/** Waits for as much of a tunnel's bytes as it takes to know what they are. */
class FirstBytes implements StreamSink {
  readonly #stream: HttpStream;
  readonly #destination: Destination;
  readonly #server: TunnelServer;
  readonly #handler: RequestHandler;
  readonly #bytes: TakeBytes;
  readonly #matcher = new PrefaceMatcher();
  #received: Uint8Array = NOTHING;

  constructor(
    stream: HttpStream,
    destination: Destination,
    server: TunnelServer,
    handler: RequestHandler,
    bytes: TakeBytes,
  ) {
    this.#stream = stream;
    this.#destination = destination;
    this.#server = server;
    this.#handler = handler;
    this.#bytes = bytes;
  }

  onHead(): void {}

  onData(stream: HttpStream, chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    const protocol = this.#matcher.feed(chunk, start, end);
    const part = Buffer.from(chunk.subarray(start, end));
    const received = this.#received.length === 0 ? part : Buffer.concat([this.#received, part]);
    this.#received = received;
    if (fin) {
      stream.sendData(NOTHING, 0, 0, true); // it ended before it said anything
    } else if (protocol === "http2" || (protocol === "http1" && mayBeHttp1(0, received, 0, received.length))) {
      this.#server.serve(stream, protocol, received, this.#handler);
    } else if (protocol === "http1") {
      const duplex = new StreamDuplex(stream);
      this.#bytes(duplex, received, this.#destination);
      stream.credit(received.length);
    }
  }

  onTrailers(): void {
    this.#stream.reset(CANCEL);
  }

  onReset(): void {}

  onWritable(): void {}
}

/** Opens a tunnel to a host outside of the mesh: granted once it is connected, and not to the sidecar itself (`isOwn`). `failed` is told why it is not. */
export function openHostTunnel(
  stream: HttpStream,
  { host, port }: HostDestination | Destination,
  isOwn: (host: string, port: number) => boolean,
  failed: (message: string) => void,
): void {
  const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
  let granted = false;
  const timer = setTimeout(
    () => socket.destroy(new Error(`no connection within ${CONNECT_TIMEOUT_MS} ms`)),
    CONNECT_TIMEOUT_MS,
  );
  stream.sink = {
    onHead() {},
    onData() {},
    onTrailers() {},
    onReset: () => void socket.destroy(),
    onWritable() {},
  };
  socket.once("connect", () => {
    clearTimeout(timer);
    if (stream.closed) return void socket.destroy();
    const at = (socket.remoteAddress ?? "").replace(/^::ffff:/, "");
    if (isOwn(at, socket.remotePort ?? 0)) return void socket.destroy(new Error("it leads back to this sidecar"));
    granted = true;
    stream.sendHead(GRANTED, null, false);
    splice(new StreamDuplex(stream), socket);
  });
  socket.on("error", (error: Error) => {
    clearTimeout(timer);
    if (!granted && !stream.closed) failed(error.message);
    granted = true;
  });
}

/** Carries bytes both ways until both sides have ended, or one fails. */
export function splice(one: Duplex, other: Duplex): void {
  one.on("error", () => other.destroy());
  other.on("error", () => one.destroy());
  // One that closed after its end leaves what the other has yet to send.
  one.on("close", () => void (one.readableEnded || other.destroy()));
  other.on("close", () => void (other.readableEnded || one.destroy()));
  one.pipe(other);
  other.pipe(one);
}

const GRANTED = responseHead(200);
const NOTHING = new Uint8Array(0);
const CANCEL = 8;
const CONNECT_TIMEOUT_MS = 10_000;
