import { createSocket, type RemoteInfo } from "node:dgram";
import { isIPv6 } from "node:net";
import { listenError } from "./listen-error.ts";

/** A socket that answers each datagram with at most one. */
export interface UdpListener {
  readonly host: string;
  readonly port: number;
  close(): Promise<void>;
}

export interface UdpListenOptions {
  /** Default "127.0.0.1". */
  host?: string;
  /** 0 (default) picks a free one. */
  port?: number;
  /** Whether one answers this address (no port); others get nothing, so that nobody is sent what somebody else asked for. Default: all. */
  accepts?: (address: string) => boolean;
  /** The answer to a datagram, valid until the next call, or later as a promise; null: none. Must neither throw nor reject. */
  onDatagram: (bytes: Uint8Array, address: string) => Uint8Array | null | Promise<Uint8Array | null>;
  /** Answers that are not known, or that the kernel has not taken yet; while there are as many, datagrams are dropped. Default 256. */
  maxQueued?: number;
  /** An answer could not be sent, or the socket failed; it goes on. */
  onError?: (message: string) => void;
}

/** Rejects with WeftError "failed_precondition", as listen() does. */
export function listenUdp(options: UdpListenOptions): Promise<UdpListener> {
  const { host = "127.0.0.1", port = 0, accepts, onDatagram, maxQueued = 256, onError } = options;
  const socket = createSocket({
    type: isIPv6(host) ? "udp6" : "udp4",
    recvBufferSize: RECEIVE_BUFFER_BYTES,
    // Addresses of datagrams are no names: nothing is looked up, nor is a turn of the loop waited for.
    lookup: (address, _options, found) => found(null, address, isIPv6(address) ? 6 : 4),
  });
  let queued = 0;
  let closed = false;
  const sent = (error: Error | null): void => {
    queued--;
    if (error !== null) onError?.(`cannot answer: ${error.message}`);
  };
  socket.on("message", (bytes: Buffer, from: RemoteInfo) => {
    if (from.port === 0 || queued >= maxQueued || accepts?.(from.address) === false) return;
    const answer = onDatagram(bytes, from.address);
    if (answer === null) return;
    queued++;
    if (!(answer instanceof Promise)) return socket.send(Buffer.from(answer), from.port, from.address, sent);
    void answer.then((later) => {
      if (later === null || closed) queued--;
      else socket.send(later, from.port, from.address, sent);
    });
  });
  return new Promise((resolve, reject) => {
    socket.once("error", (error: NodeJS.ErrnoException) => {
      socket.close();
      reject(listenError(host, port, error));
    });
    socket.bind({ address: host, port, exclusive: true }, () => {
      socket.removeAllListeners("error");
      socket.on("error", (error) => onError?.(error.message));
      resolve({
        host,
        port: socket.address().port,
        close: () => {
          closed = true;
          return new Promise<void>((resolved) => socket.close(() => resolved()));
        },
      });
    });
  });
}

/** Bursts wait there while a turn of the loop is busy; the kernel may give less. */
const RECEIVE_BUFFER_BYTES = 1 << 20;
