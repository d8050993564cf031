import { createServer, type Server, Socket, type SocketConstructorOpts } from "node:net";
import { countBytesMade } from "../core/bytes-made.ts";
import { readBuffer } from "./loop.ts";

/** Told about each accepted socket before its first byte is read. Returns where its bytes go, or null to refuse it. */
export type OnAccept = (socket: Socket) => ReadCallback | null;

/** Bytes [start, end) of `chunk`, valid during the call only. False: stop reading. */
export type ReadCallback = (chunk: Uint8Array, start: number, end: number) => boolean;

/**
 * A plain TCP server whose sockets all read into one shared buffer, so that reading allocates nothing.
 *
 * Node offers that (`onread`) for outgoing sockets only. For accepted ones the listening handle's `onconnection` has to build the
 * socket; that is internal, so it is probed: where the handle does not look as expected, or with `sharedRead: false`, ordinary
 * 'connection' and 'data' events are used. Both ways hand over the same bytes (listener.test.ts). Worth about 4 us CPU a request.
 */
export function createPlainServer(onAccept: OnAccept, sharedRead = true): Server {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const read = onAccept(socket);
    if (read === null) return void socket.destroy();
    readByEvents(socket, read);
  });
  if (sharedRead) server.on("listening", () => takeOver(server, onAccept));
  return server;
}

/** Reads by 'data' events, for each of which a buffer is made: the fallback, and the way of TLS sockets. */
export function readByEvents(socket: Socket, read: ReadCallback): void {
  socket.on("data", (chunk: Buffer) => {
    countBytesMade(chunk.length);
    if (!read(chunk, 0, chunk.length)) socket.pause();
  });
}

interface ListeningHandle {
  onconnection?: (status: number, client?: object) => void;
}

function takeOver(server: Server, onAccept: OnAccept): void {
  const handle = (server as unknown as { _handle?: ListeningHandle })._handle;
  const original = handle?.onconnection;
  if (handle === undefined || typeof original !== "function") return;
  handle.onconnection = function (this: ListeningHandle, status, client) {
    if (status !== 0 || !isStreamHandle(client)) return original.call(this, status, client);
    let read: ReadCallback | null = null;
    const options = {
      handle: client,
      allowHalfOpen: true,
      onread: {
        buffer: readBuffer,
        callback: (bytes: number, chunk: Uint8Array) => read === null || read(chunk, 0, bytes),
      },
    };
    const socket = new Socket(options as SocketConstructorOpts);
    socket.setNoDelay(true);
    read = onAccept(socket);
    if (read === null) socket.destroy();
  };
}

function isStreamHandle(client: unknown): client is object {
  return typeof (client as { useUserBuffer?: unknown } | undefined)?.useUserBuffer === "function";
}
