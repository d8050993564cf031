import { createSocket, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import type { Endpoint } from "../../core/endpoint.ts";
import type { UdpClient, UdpSessionOwner } from "../../net/udp-session-listener.ts";
import type { CallContext } from "../../policy/call.ts";
import type { SessionRequest } from "../../policy/route/session-request.ts";
import type { CarrierState } from "../carrier.ts";
import { type OnSessionEnd, SessionCall } from "./session-call.ts";

export interface UdpSessionOptions {
  /** Silence that ends a session. Default 60,000. */
  readonly idleTimeoutMs?: number;
  /** Whether a service takes mutual TLS alone: datagrams have none, and are not sent there. */
  readonly isStrict?: (service: string) => boolean;
}

/**
 * What one address sends, carried to one endpoint, and what that answers, back. The socket towards the endpoint is the session's own and connected, so that it
 * hears nobody else. It ends when nothing was sent either way for a while.
 */
export class UdpSession extends SessionCall implements UdpSessionOwner {
  readonly #client: UdpClient;
  readonly #isStrict: (service: string) => boolean;
  #socket: Socket | null = null;
  #opening = 0;
  #delivered = false;
  /** Datagrams that came before there was an endpoint. */
  #early: Buffer[] = [];

  constructor(
    carrier: CarrierState,
    client: UdpClient,
    request: SessionRequest,
    context: CallContext,
    { idleTimeoutMs = 60_000, isStrict = () => false }: UdpSessionOptions,
    onEnd: OnSessionEnd,
  ) {
    super(carrier, request, context, onEnd, idleTimeoutMs);
    this.#isStrict = isStrict;
    this.#client = client;
  }

  onDatagram(bytes: Buffer): void {
    if (this.ended) return;
    if (!this.#delivered) {
      if (this.#early.length < MAX_EARLY) this.#early.push(bytes);
      return;
    }
    this.carried(bytes.length, 0);
    this.#socket?.send(bytes);
  }

  cut(): void {
    this.over();
  }

  // --- SessionCall ------------------------------------------------------------------------------------------------

  protected override open(attempt: number, endpoint: Endpoint): void {
    this.#opening = attempt;
    const fail = (message: string, before: boolean): void => {
      if (this.#socket !== socket) return;
      this.#closeSocket();
      this.failed(attempt, { kind: before ? "connect" : "reset", unprocessed: before, message });
    };
    const socket = createSocket(isIPv6(endpoint.host) ? "udp6" : "udp4");
    this.#socket = socket;
    if (this.#isStrict(endpoint.service)) {
      const why = `${endpoint.service} takes mutual TLS alone (mtls: strict), which datagrams do not have`;
      setImmediate(() => fail(why, true));
      return;
    }
    let connected = false;
    socket.on("error", (error: Error) => fail(error.message, !connected));
    socket.on("message", (bytes: Buffer) => {
      if (this.#socket !== socket || this.ended) return;
      this.carried(0, bytes.length);
      this.#client.send(bytes);
    });
    // Not by a callback of connect(): that one is called, too, when there is no way to the endpoint.
    socket.once("connect", () => {
      connected = true;
      if (this.#socket === socket) this.opened(attempt);
    });
    socket.connect(endpoint.port, endpoint.host);
  }

  protected override abandon(attempt: number): void {
    if (attempt === this.#opening) this.#closeSocket();
  }

  protected override deliver(): void {
    this.#delivered = true;
    const early = this.#early;
    this.#early = [];
    for (const bytes of early) this.onDatagram(bytes);
  }

  /** Datagrams have no way of saying so: whoever sends them gets no answer. */
  protected override refuse(): void {}

  protected override close(): void {
    this.#early = [];
    this.#closeSocket();
    this.#client.over();
  }

  #closeSocket(): void {
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    socket.removeAllListeners("message");
    socket.close();
  }
}

const MAX_EARLY = 16;
