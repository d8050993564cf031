import { connect as connectTcp, isIP, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Endpoint } from "../core/endpoint.ts";
import { type ReadCallback, readByEvents } from "./accept.ts";
import { readBuffer } from "./loop.ts";
import { formatAddress } from "./peer.ts";
import { tlsModule } from "./tls-module.ts";
import type { UpstreamPoolOptions } from "./types.ts";

/**
 * Connects to an endpoint: TCP, and TLS on it when the endpoint speaks "h2". Exactly one of `onReady` and `onFailed` is called, later;
 * after onReady the socket's errors and end are the new owner's. The returned function gives up (neither is called any more).
 */
export function dial(
  endpoint: Endpoint,
  options: UpstreamPoolOptions,
  timeoutMs: number,
  target: DialTarget,
): () => void {
  const secure = endpoint.protocol === "h2";
  const tls = options.tls ?? {};
  let read: ReadCallback | null = null;
  const host = endpoint.host.replace(/^\[(.*)\]$/, "$1");
  const socket: Socket = secure
    ? tlsModule().connect({
        host,
        port: endpoint.port,
        ALPNProtocols: ["h2", "http/1.1"],
        ca: bufferOf(tls.ca),
        cert: bufferOf(tls.cert),
        key: bufferOf(tls.key),
        servername: tls.serverName ?? (isIP(host) === 0 ? host : ""),
      })
    : connectTcp({
        host,
        port: endpoint.port,
        allowHalfOpen: true,
        noDelay: true,
        onread: { buffer: readBuffer, callback: (bytes, chunk) => read === null || read(chunk, 0, bytes) },
      });
  if (secure) socket.setNoDelay(true);

  let done = false;
  const settle = (): boolean => {
    if (done) return false;
    done = true;
    clearTimeout(timer);
    socket.off("error", onError);
    socket.off("close", onClose);
    return true;
  };
  const fail = (cause: string): void => {
    if (!settle()) return;
    socket.on("error", ignore);
    socket.destroy();
    target.onFailed(`cannot connect to ${formatAddress(host, endpoint.port)}: ${cause}`);
  };
  const onError = (error: Error): void => fail(explain(error));
  const onClose = (): void => fail("closed while connecting");
  const timer = setTimeout(() => fail(`no connection within ${timeoutMs} ms`), timeoutMs);
  timer.unref();
  socket.on("error", onError);
  socket.on("close", onClose);
  socket.once(secure ? "secureConnect" : "connect", () => {
    if (!settle()) return;
    const http2 = secure ? (socket as TLSSocket).alpnProtocol === "h2" : endpoint.protocol === "h2c";
    const callback = target.onReady(socket, http2);
    if (secure) readByEvents(socket, callback);
    else read = callback;
  });
  return () => {
    if (!settle()) return;
    socket.on("error", ignore);
    socket.destroy();
  };
}

export interface DialTarget {
  /** Connected (and handshaken); `http2` says which machine to give it. Returns where its bytes go. */
  onReady(socket: Socket, http2: boolean): ReadCallback;
  /** `message` names the address and the cause. */
  onFailed(message: string): void;
}

function ignore(): void {}

/** Node reports several addresses that failed as one AggregateError with an empty message. */
function explain(error: Error): string {
  if (error instanceof AggregateError) return error.errors.map((each) => explain(each)).join("; ");
  const code = (error as NodeJS.ErrnoException).code;
  const words = code === undefined ? undefined : WORDS[code];
  return words === undefined ? error.message : `${words} (${code})`;
}

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused: nothing listens there",
  ECONNRESET: "reset by the peer while connecting",
  EHOSTUNREACH: "host unreachable",
  ENETUNREACH: "network unreachable",
  ENOTFOUND: "host name not found",
  ETIMEDOUT: "no answer from the host",
};

function bufferOf(bytes: string | Uint8Array | undefined): string | Buffer | undefined {
  return bytes === undefined || typeof bytes === "string" ? bytes : Buffer.from(bytes);
}
