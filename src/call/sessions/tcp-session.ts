import type { Endpoint } from "../../core/endpoint.ts";
import { ByteConnection, type ByteOwner } from "../../net/byte-connection.ts";
import { dial } from "../../net/dial.ts";
import type { UpstreamPoolOptions } from "../../net/types.ts";
import type { CallContext } from "../../policy/call.ts";
import type { SessionRequest } from "../../policy/route/session-request.ts";
import { encodeProxyHeader } from "../../wire/proxy-protocol/proxy-header-writer.ts";
import type { CarrierState } from "../carrier.ts";
import { type OnSessionEnd, SessionCall } from "./session-call.ts";

/** How sessions are connected to endpoints. */
export interface SessionDial extends Pick<UpstreamPoolOptions, "identity" | "mutualTls"> {
  /** Default 5,000. */
  readonly connectTimeoutMs?: number;
  /** Silence that ends a session. Default 3,600,000: an hour. */
  readonly idleTimeoutMs?: number;
}

/**
 * A TCP connection carried to an endpoint: both sides are spliced, each read no faster than the other takes, and each side's end is passed on by itself.
 *
 * While it connects, the client's first bytes wait (ByteConnection, B1).
 */
export class TcpSession extends SessionCall implements ByteOwner {
  readonly #client: ByteConnection;
  readonly #localAddress: string;
  readonly #dial: SessionDial;
  readonly #pool: UpstreamPoolOptions;
  #upstream: ByteConnection | null = null;
  #opening = 0;
  #giveUp: (() => void) | null = null;
  #proxyProtocol: "" | "v1" | "v2" = "";
  #clientEnded = false;
  #upstreamEnded = false;
  #spliced = false;

  /** `localAddress`: where the client connected to. */
  constructor(
    carrier: CarrierState,
    client: ByteConnection,
    localAddress: string,
    request: SessionRequest,
    context: CallContext,
    dialing: SessionDial,
    onEnd: OnSessionEnd,
  ) {
    super(carrier, request, context, onEnd, dialing.idleTimeoutMs ?? 3_600_000);
    this.#client = client;
    this.#localAddress = localAddress;
    this.#dial = dialing;
    const { identity, mutualTls } = dialing;
    this.#pool = { ...(identity && { identity }), ...(mutualTls && { mutualTls }) };
  }

  /** Ends it now: the listener closes. */
  cut(): void {
    this.gone();
  }

  // --- SessionCall ------------------------------------------------------------------------------------------------

  protected override open(attempt: number, endpoint: Endpoint): void {
    this.#opening = attempt;
    this.#proxyProtocol = this.call.proxyProtocol;
    // Whatever it speaks, here it is bytes: TLS that it speaks is between it and the client.
    const { protocol } = endpoint;
    const to: Endpoint = protocol === "tcp" ? endpoint : { ...endpoint, protocol: "tcp" };
    this.#giveUp = dial(to, this.#pool, this.#dial.connectTimeoutMs ?? 5_000, {
      onReady: (socket) => {
        this.#giveUp = null;
        const upstream = new ByteConnection(socket, false);
        this.#upstream = upstream;
        if (this.#proxyProtocol !== "") {
          const header = encodeProxyHeader(this.#proxyProtocol, this.context.peerAddress, this.#localAddress);
          upstream.write(header, 0, header.length);
        }
        this.opened(attempt, to.identity !== undefined && "encrypted" in socket);
        return (chunk, start, end) => upstream.receive(chunk, start, end);
      },
      onFailed: (message) => {
        this.#giveUp = null;
        this.failed(attempt, { kind: "connect", unprocessed: true, message });
      },
    });
  }

  protected override abandon(attempt: number): void {
    if (attempt !== this.#opening) return;
    this.#giveUp?.();
    this.#giveUp = null;
    this.#upstream?.destroy();
    this.#upstream = null;
  }

  protected override deliver(): void {
    const upstream = this.#upstream;
    if (upstream === null) return;
    this.#spliced = true;
    this.#client.own(this);
    if (!upstream.closed && !this.ended) upstream.own(this);
  }

  protected override refuse(): void {
    this.#client.destroy();
  }

  protected override close(): void {
    this.#giveUp?.();
    this.#giveUp = null;
    if (!(this.#clientEnded && this.#upstreamEnded)) {
      this.#client.destroy();
      this.#upstream?.destroy();
    }
    // Nobody hears of a client that was refused before it was spliced.
    if (!this.#spliced) this.#client.own(this);
  }

  // --- ByteOwner --------------------------------------------------------------------------------------------------

  onBytes(connection: ByteConnection, chunk: Uint8Array, start: number, end: number): boolean {
    if (this.ended) return true;
    if (connection === this.#client) {
      this.carried(end - start, 0);
      return this.#upstream?.write(chunk, start, end) ?? true;
    }
    this.carried(0, end - start);
    return this.#client.write(chunk, start, end);
  }

  onEnd(connection: ByteConnection): void {
    if (connection === this.#client) {
      this.#clientEnded = true;
      this.#upstream?.end();
    } else {
      this.#upstreamEnded = true;
      this.#client.end();
    }
  }

  onDrained(connection: ByteConnection): void {
    if (connection === this.#client) this.#upstream?.resume();
    else this.#client.resume();
  }

  onClosed(connection: ByteConnection, message: string): void {
    if (this.ended) return;
    if (this.#clientEnded && this.#upstreamEnded) {
      // Both have said all; the last of it may still be on its way out.
      if (this.#client.closed && this.#upstream?.closed !== false) this.over();
    } else if (connection === this.#client) this.gone();
    else this.failed(this.attempt, { kind: "reset", unprocessed: false, message });
  }
}
