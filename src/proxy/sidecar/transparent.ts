import { connect, type Socket } from "node:net";
import { WeftError } from "../../core/errors.ts";
import type { ReadCallback } from "../../net/accept.ts";
import type { OriginalDestination } from "../../net/original-destination.ts";
import type { PeerInfo } from "../../wire/stream.ts";
import { ClientHelloReader } from "../../wire/tls/client-hello.ts";
import { type Destination, parseDestination } from "./destination.ts";
import type { Egress } from "./egress.ts";
import { splice, type TakeBytes } from "./tunnels.ts";

export interface TransparentOptions {
  egress: Egress;
  /** Connections to services of the mesh whose bytes are not HTTP. */
  bytes: TakeBytes;
  /** Where a connection was to go before it was redirected to us, by its client's end; null: not known. */
  original(peerAddress: string): Promise<OriginalDestination | null>;
  /** Whether an address is one of the sidecar's own. */
  isOwn(host: string, port: number): boolean;
  onProblem(error: WeftError): void;
}

/**
 * Takes intercepted connections that are not HTTP (a listener's `other`; the listener reads without a shared buffer). HTTP says by itself where it goes.
 *
 *     TLS     by the name in its ClientHello: a service of the mesh, or the host that was meant
 *     other   where the kernel says that it was to go; passed through
 */
export function takeIntercepted(
  options: TransparentOptions,
): (socket: Socket, peer: PeerInfo, received: Uint8Array) => ReadCallback {
  return (socket, peer, received) => {
    // From here on it is an ordinary socket: its bytes are read when somebody takes them.
    socket.removeAllListeners("data");
    socket.pause();
    socket.on("error", () => socket.destroy());
    take(socket, peer, received, options).catch((thrown: unknown) => {
      socket.destroy();
      const message = thrown instanceof Error ? thrown.message : String(thrown);
      const reason = thrown instanceof WeftError ? thrown.reason : "INTERCEPTED";
      options.onProblem(
        new WeftError("failed_precondition", `intercepted connection of ${peer.address}: ${message}`, { reason }),
      );
    });
    return () => true;
  };
}

async function take(socket: Socket, peer: PeerInfo, first: Uint8Array, options: TransparentOptions): Promise<void> {
  const { egress, bytes, original, isOwn } = options;
  const { serverName, received } =
    first[0] === HANDSHAKE ? await readHello(socket, first) : { serverName: "", received: first };
  const meant = await original(peer.address);
  if (socket.destroyed) return; // nobody would hear of its end any more
  const named = serverName === "" ? null : parseDestination(`${serverName}:${meant?.port ?? 443}`);
  if (named?.kind === "service" && named.certain) return bytes(socket, received, named);
  const to: Destination | null = meant === null ? named : { kind: "host", ...meant };
  if (to === null)
    throw new WeftError(
      "failed_precondition",
      "nothing says where it was to go: it is no HTTP, has no TLS server name, and is not in the kernel's table (/proc/net/nf_conntrack, or the conntrack tool, as root)",
    );
  if (isOwn(to.host, to.port))
    throw new WeftError("failed_precondition", `${to.host}:${to.port} is the sidecar itself`);
  const refusal = egress.refusal(to);
  if (refusal !== null) throw refusal;
  passThrough(socket, to, received);
}

function passThrough(socket: Socket, { host, port }: Destination, received: Uint8Array): void {
  const upstream = connect({ host, port, allowHalfOpen: true, noDelay: true, timeout: CONNECT_TIMEOUT_MS });
  upstream.on("timeout", () => upstream.destroy());
  upstream.once("connect", () => upstream.setTimeout(0));
  if (received.length > 0) upstream.write(received);
  splice(socket, upstream);
}

/** Reads on until the ClientHello is whole. Rejects for what is none, and for one that does not come. */
async function readHello(socket: Socket, first: Uint8Array): Promise<{ serverName: string; received: Uint8Array }> {
  const reader = new ClientHelloReader();
  let hello = reader.feed(first, 0, first.length);
  if (hello === null) {
    hello = await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("its TLS handshake does not begin")), HELLO_TIMEOUT_MS);
      const onData = (chunk: Buffer): void => {
        try {
          const found = reader.feed(chunk, 0, chunk.length);
          if (found === null) return;
          clearTimeout(timer);
          socket.pause();
          socket.off("data", onData);
          resolve(found);
        } catch (thrown) {
          clearTimeout(timer);
          reject(thrown);
        }
      };
      socket.once("close", () => {
        clearTimeout(timer);
        reject(new Error("it was closed"));
      });
      socket.on("data", onData);
    });
  }
  return { serverName: hello?.serverName ?? "", received: Buffer.from(reader.bytes) };
}

const HANDSHAKE = 0x16;
const CONNECT_TIMEOUT_MS = 10_000;
const HELLO_TIMEOUT_MS = 10_000;
