import { connect, type Socket } from "node:net";
import type { Endpoint, Protocol } from "../core/endpoint.ts";
import { type Head, requestHead, responseHead } from "../wire/head.ts";
import type { ClientConnection, HttpStream, RequestHandler, StreamFailure, StreamSink } from "../wire/stream.ts";
import type { UpstreamPool } from "./types.ts";

/** Help for tests with real loopback sockets. */

export function endpointAt(port: number, protocol: Protocol, id = "test-1"): Endpoint {
  return {
    id,
    service: "test",
    host: "127.0.0.1",
    port,
    version: "",
    zone: "",
    weight: 1,
    protocol,
    health: "healthy",
    metadata: {},
  };
}

export const OK: Head = responseHead(200, ["content-type", "text/plain"]);

/** Answers each request with its method, path and body, when the request is complete. */
export const echoHandler: RequestHandler = {
  onRequest(stream, head, fin) {
    let body = "";
    const reply = (): void => {
      const text = Buffer.from(`${head.method} ${head.path} ${body}`, "latin1");
      stream.sendHead(OK, ["content-length", String(text.length)], false);
      stream.sendData(text, 0, text.length, true);
    };
    stream.sink = {
      onHead() {},
      onData(_stream, chunk, start, end, last) {
        body += Buffer.from(chunk.subarray(start, end)).toString("latin1");
        stream.credit(end - start);
        if (last) reply();
      },
      onTrailers: reply,
      onReset() {},
      onWritable() {},
    };
    if (fin) reply();
  },
};

export interface Answer {
  status: number;
  body: string;
  connection: ClientConnection;
}

/** One request through the pool; rejects with the StreamFailure. */
export function call(pool: UpstreamPool, endpoint: Endpoint, path = "/", body: string | null = null): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let status = 0;
    let text = "";
    const start = (connection: ClientConnection): void => {
      const finish = (): void => resolve({ status, body: text, connection });
      const sink: StreamSink = {
        onHead(_stream: HttpStream, head: Head, fin: boolean) {
          status = head.status;
          if (fin) finish();
        },
        onData(stream, chunk, from, to, fin) {
          text += Buffer.from(chunk.subarray(from, to)).toString("latin1");
          stream.credit(to - from);
          if (fin) finish();
        },
        onTrailers: finish,
        onReset: (_stream, failure) => reject(failure),
        onWritable() {},
      };
      const stream = connection.request(
        requestHead(body === null ? "GET" : "POST", "http", "test", path),
        null,
        body === null,
        sink,
      );
      if (body !== null) stream.sendData(Buffer.from(body, "latin1"), 0, body.length, true);
    };
    const now = pool.acquire(endpoint, {
      onConnection: start,
      onConnectFailed: (failure: StreamFailure) => reject(failure),
    });
    if (now !== null) start(now);
  });
}

/** Sends text (latin1) and resolves with everything that came until the server closed. */
export function exchangeRaw(port: number, text: string, end = false): Promise<string> {
  return new Promise((resolve) => {
    let received = "";
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true }, () => {
      if (end) socket.end(text, "latin1");
      else socket.write(text, "latin1");
    });
    socket.setEncoding("latin1");
    socket.on("data", (chunk: string) => (received += chunk));
    socket.on("error", () => {});
    socket.on("end", () => socket.end());
    socket.on("close", () => resolve(received));
  });
}

export function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1" }, () => resolve(socket));
    socket.once("error", reject);
  });
}

/** Resolves when `condition` holds; looks again each turn of the event loop, gives up after 5 s. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not reached within 20 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
