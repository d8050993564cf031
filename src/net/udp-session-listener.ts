import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import { type Clock, systemClock } from "../core/clock.ts";
import { listenError } from "./listen-error.ts";
import { formatAddress } from "./peer.ts";
import { untilEmpty } from "./until-empty.ts";

/** Who takes what one address sends. */
export interface UdpSessionOwner {
  onDatagram(bytes: Buffer): void;
  /** The listener closes. */
  cut(): void;
}

/** The address that a session is with. */
export interface UdpClient {
  /** "192.0.2.7:4711" */
  readonly address: string;
  /** A datagram to it. Dropped while too many wait. */
  send(bytes: Uint8Array): void;
  /** The session is over: what the address sends from now on is another. */
  over(): void;
}

export interface UdpSessionListener {
  readonly host: string;
  readonly port: number;
  readonly sessions: number;
  /** Datagrams that were not taken: no room for their session, or too many new ones. */
  readonly dropped: number;
  /** Takes no new sessions; those that are end by themselves, or are cut after `timeoutMs`. */
  drain(timeoutMs: number): Promise<void>;
  close(): Promise<void>;
}

export interface UdpSessionListenOptions {
  /** Default "127.0.0.1". */
  host?: string;
  /** 0 (default) picks a free one. */
  port?: number;
  /** Sessions at once. Default 4,096. */
  maxSessions?: number;
  /** New sessions a second, as many at once: addresses can be made up. Default 500. */
  maxNewPerSecond?: number;
  clock?: Clock;
  /** The first datagram of an address, which is then told to what is returned. */
  onSession: (client: UdpClient) => UdpSessionOwner;
}

/**
 * Listens for datagrams, by the address that sends them. Whoever makes addresses up gets no answers there: what is sent to an address is what the endpoint
 * answered it, datagram by datagram.
 *
 * Rejects with WeftError "failed_precondition", as listen() does.
 */
export function listenUdpSessions(options: UdpSessionListenOptions): Promise<UdpSessionListener> {
  const { host = "127.0.0.1", port = 0 } = options;
  const socket = createSocket({
    type: isIPv6(host) ? "udp6" : "udp4",
    recvBufferSize: RECEIVE_BUFFER_BYTES,
    // Addresses of datagrams are no names.
    lookup: (address, _options, found) => found(null, address, isIPv6(address) ? 6 : 4),
  });
  return new Promise((resolve, reject) => {
    socket.once("error", (error: NodeJS.ErrnoException) => {
      socket.close();
      reject(listenError(host, port, error));
    });
    socket.bind({ address: host, port, exclusive: true }, () => {
      socket.removeAllListeners("error");
      socket.on("error", () => {}); // of single datagrams; it goes on
      resolve(new Sessions(socket, host, options));
    });
  });
}

class Sessions implements UdpSessionListener {
  readonly host: string;
  readonly port: number;
  dropped = 0;
  readonly #socket: Socket;
  readonly #options: UdpSessionListenOptions;
  readonly #clock: Clock;
  readonly #maxSessions: number;
  readonly #perSecond: number;
  readonly #byAddress = new Map<string, UdpSessionOwner>();
  #tokens: number;
  #tokensAt: number;
  #queued = 0;
  #draining = false;
  #closed = false;
  #onEmpty: (() => void) | null = null;

  constructor(socket: Socket, host: string, options: UdpSessionListenOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#maxSessions = options.maxSessions ?? 4_096;
    this.#perSecond = this.#tokens = options.maxNewPerSecond ?? 500;
    this.#tokensAt = this.#clock.now();
    this.host = host;
    this.port = socket.address().port;
    socket.on("message", (bytes: Buffer, from: RemoteInfo) => this.#onDatagram(bytes, from));
  }

  get sessions(): number {
    return this.#byAddress.size;
  }

  async drain(timeoutMs: number): Promise<void> {
    this.#draining = true;
    if (this.#byAddress.size > 0 && timeoutMs > 0) await untilEmpty(timeoutMs, (onEmpty) => (this.#onEmpty = onEmpty));
    await this.close();
  }

  async close(): Promise<void> {
    this.#draining = true;
    for (const session of [...this.#byAddress.values()]) session.cut();
    if (this.#closed) return;
    this.#closed = true;
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  #onDatagram(bytes: Buffer, from: RemoteInfo): void {
    if (from.port === 0) return;
    const address = formatAddress(from.address, from.port);
    const known = this.#byAddress.get(address);
    if (known !== undefined) return known.onDatagram(bytes);
    if (this.#draining || this.#byAddress.size >= this.#maxSessions || !this.#takeToken()) {
      this.dropped++;
      return;
    }
    let over = false;
    const session = this.#options.onSession({
      address,
      send: (answer) => this.#send(answer, from),
      over: () => {
        if (over) return;
        over = true;
        this.#byAddress.delete(address);
        if (this.#byAddress.size === 0) this.#onEmpty?.();
      },
    });
    if (over) return; // refused at once
    this.#byAddress.set(address, session);
    session.onDatagram(bytes);
  }

  #takeToken(): boolean {
    const now = this.#clock.now();
    this.#tokens = Math.min(this.#perSecond, this.#tokens + ((now - this.#tokensAt) * this.#perSecond) / 1_000);
    this.#tokensAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  #send(bytes: Uint8Array, { address, port }: RemoteInfo): void {
    if (this.#closed || this.#queued >= MAX_QUEUED) return;
    this.#queued++;
    this.#socket.send(bytes, port, address, () => this.#queued--);
  }
}

const RECEIVE_BUFFER_BYTES = 1 << 20;
/** Datagrams that the kernel has not taken yet. */
const MAX_QUEUED = 1_024;
