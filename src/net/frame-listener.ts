import type { Server, Socket } from "node:net";
import { type Clock, systemClock } from "../core/clock.ts";
import { FrameReader } from "../wire/dns/frame-reader.ts";
import { createPlainServer, type ReadCallback } from "./accept.ts";
import { listenError } from "./listen-error.ts";
import { type Loop, loopOf, type Ticking } from "./loop.ts";

/** A TCP listener whose connections carry messages with two bytes of length before each, and answers in the same form and order: DNS over TCP (RFC 7766). */
export interface FrameListener {
  readonly host: string;
  readonly port: number;
  /** Connections open now. */
  readonly connections: number;
  close(): Promise<void>;
}

export interface FrameListenOptions {
  /** Default "127.0.0.1". */
  host?: string;
  /** 0 (default) picks a free one. */
  port?: number;
  /** Whether one talks to this address (no port). Default: all. */
  accepts?: (address: string) => boolean;
  /** The answer to a message, valid until the next call, or later as a promise (until then no more of this connection is read); null: none. Must neither
   * throw nor reject. */
  onMessage: (bytes: Uint8Array, address: string) => FrameAnswer | Promise<FrameAnswer>;
  /** Longer messages end their connection. Default 4,096. */
  maxMessageBytes?: number;
  /** When as many are open, a new one takes the place of the one that was silent longest. Default 128. */
  maxConnections?: number;
  /** A connection on which no whole message came for so long is closed. Default 10,000. */
  idleTimeoutMs?: number;
  clock?: Clock;
}

type FrameAnswer = Uint8Array | null;

/** Rejects with WeftError "failed_precondition", as listen() does. */
export async function listenFrames(options: FrameListenOptions): Promise<FrameListener> {
  const listener = new TcpFrameListener(options);
  await listener.start();
  return listener;
}

class TcpFrameListener implements FrameListener {
  readonly host: string;
  port: number;
  readonly idleTimeoutMs: number;
  readonly #options: FrameListenOptions;
  readonly #maxConnections: number;
  readonly #loop: Loop;
  readonly #server: Server;
  readonly #open = new Set<FrameConnection>();

  constructor(options: FrameListenOptions) {
    this.#options = options;
    this.host = options.host ?? "127.0.0.1";
    this.port = options.port ?? 0;
    this.#maxConnections = options.maxConnections ?? 128;
    this.idleTimeoutMs = options.idleTimeoutMs ?? 10_000;
    this.#loop = loopOf(options.clock ?? systemClock);
    this.#server = createPlainServer((socket) => this.#accept(socket));
  }

  get connections(): number {
    return this.#open.size;
  }

  start(): Promise<void> {
    const { host, port } = this;
    return new Promise((resolve, reject) => {
      this.#server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(host, port, error)));
      this.#server.listen({ host, port }, () => {
        const address = this.#server.address();
        if (address !== null && typeof address === "object") this.port = address.port;
        this.#server.removeAllListeners("error");
        this.#server.on("error", () => {}); // out of descriptors: those connected stay, and accepting goes on when some are free
        resolve();
      });
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      for (const connection of this.#open) connection.destroy();
    });
  }

  #accept(socket: Socket): ReadCallback | null {
    const address = socket.remoteAddress;
    if (address === undefined || this.#options.accepts?.(address) === false) return null;
    if (this.#open.size >= this.#maxConnections) this.#longestSilent()?.destroy();
    const answer = (message: Uint8Array): FrameAnswer | Promise<FrameAnswer> =>
      this.#options.onMessage(message, address);
    const reader = new FrameReader(this.#options.maxMessageBytes ?? 4_096);
    const connection = new FrameConnection(this, this.#loop, socket, reader, answer);
    this.#open.add(connection);
    socket.on("close", () => {
      this.#open.delete(connection);
      this.#loop.remove(connection);
    });
    this.#loop.add(connection);
    return (chunk, start, end) => connection.receive(chunk, start, end);
  }

  #longestSilent(): FrameConnection | undefined {
    let found: FrameConnection | undefined;
    for (const connection of this.#open)
      if (found === undefined || connection.lastMessageAt < found.lastMessageAt) found = connection;
    if (found !== undefined) this.#open.delete(found);
    return found;
  }
}

class FrameConnection implements Ticking {
  lastMessageAt: number;
  readonly #owner: TcpFrameListener;
  readonly #loop: Loop;
  readonly #socket: Socket;
  readonly #reader: FrameReader;
  readonly #answer: (message: Uint8Array) => FrameAnswer | Promise<FrameAnswer>;
  /** An answer is on its way. */
  #waiting = false;
  /** What came while the client read no answers: the rest of one chunk, no more is read. */
  #unread: Uint8Array | null = null;
  #ended = false;

  constructor(
    owner: TcpFrameListener,
    loop: Loop,
    socket: Socket,
    reader: FrameReader,
    answer: (message: Uint8Array) => FrameAnswer | Promise<FrameAnswer>,
  ) {
    this.#owner = owner;
    this.#loop = loop;
    this.#socket = socket;
    this.#reader = reader;
    this.#answer = answer;
    this.lastMessageAt = loop.now();
    socket.on("error", () => socket.destroy());
    socket.on("drain", () => this.#goOn());
    socket.on("end", () => {
      this.#ended = true;
      if (this.#unread === null && !this.#waiting) socket.end();
    });
  }

  receive(chunk: Uint8Array, start: number, end: number): boolean {
    this.#socket.cork();
    const at = this.#read(chunk, start, end);
    this.#socket.uncork();
    if (at === end) return true;
    // A copy: of a Buffer slice() is a view, and the buffer is for all sockets.
    this.#unread = new Uint8Array(chunk.subarray(at, end));
    return false;
  }

  tick(now: number): void {
    if (now - this.lastMessageAt >= this.#owner.idleTimeoutMs) this.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Answers until all is read, or until the client reads too few of its answers; says how far it came. */
  #read(chunk: Uint8Array, start: number, end: number): number {
    let at = start;
    while (at < end && !this.#socket.destroyed) {
      if (this.#socket.writableNeedDrain || this.#waiting) return at;
      const { message, at: next, failed } = this.#reader.next(chunk, at, end);
      at = next;
      if (failed) this.destroy();
      if (message === null) continue;
      this.lastMessageAt = this.#loop.now();
      const answer = this.#answer(message);
      if (answer instanceof Promise) this.#later(answer);
      else this.#write(answer);
    }
    return end;
  }

  #later(answer: Promise<FrameAnswer>): void {
    this.#waiting = true;
    void answer.then((message) => {
      this.#waiting = false;
      if (this.#socket.destroyed) return;
      this.#write(message);
      if (this.#unread !== null) this.#goOn();
      else if (this.#ended) this.#socket.end();
    });
  }

  #write(answer: FrameAnswer): void {
    if (answer === null) return;
    const framed = Buffer.allocUnsafe(2 + answer.length);
    framed.writeUInt16BE(answer.length);
    framed.set(answer, 2);
    this.#socket.write(framed);
  }

  #goOn(): void {
    const rest = this.#unread;
    if (rest === null || this.#waiting) return;
    this.#unread = null;
    if (!this.receive(rest, 0, rest.length)) return;
    if (this.#ended && !this.#waiting) this.#socket.end();
    else this.#socket.resume();
  }
}
