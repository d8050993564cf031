import type { Socket } from "node:net";
import type { TLSSocket, Server as TlsServer } from "node:tls";
import type { PeerInfo } from "../wire/stream.ts";
import type { ReadCallback } from "./accept.ts";
import type { Loop, Ticking } from "./loop.ts";
import { BYTES_ALPN, meshContextOptions, meshRefusal } from "./mesh-tls.ts";
import { formatAddress, peerOf } from "./peer.ts";
import { tlsModule } from "./tls-module.ts";
import type { ListenOptions } from "./types.ts";

export interface MeshAcceptOptions {
  readonly mesh: NonNullable<ListenOptions["mesh"]>;
  readonly loop: Loop;
  /** For the first byte, and again for the handshake. */
  readonly timeoutMs: number;
  /** Plain text, allowed: whose bytes go to what is returned, the first ones included. Null refuses it. */
  readonly onPlain: (socket: Socket) => ReadCallback | null;
  /** The peer has proved an identity of the own system. */
  readonly onSecure: (socket: TLSSocket) => void;
  /** Connections for bytes are taken, too. */
  readonly bytes: boolean;
  /** Whether who listens may speak first: a client that says nothing for a moment, where plain text is allowed, is taken for plain. */
  readonly speaksFirst: () => boolean;
  readonly onRefused: (peer: PeerInfo, message: string) => void;
}

/**
 * Takes accepted sockets of the mesh: the first byte tells TLS (a handshake record, 0x16, which begins neither an HTTP request nor HTTP/2's preface) from
 * plain text, and then the mode of the moment decides.
 *
 *     accepted --first byte 0x16--> handshake --certificate judged--> secure
 *        \--other byte, "permissive" or "off"-----------------------> plain
 *         \--other byte, "strict"; nothing in time; refused--------> closed, reported
 *
 * A plain socket keeps its way of reading (accept.ts); one that turns out to be TLS is handed on with the bytes that were read of it.
 */
export class MeshAccept {
  readonly #options: MeshAcceptOptions;
  readonly #pending = new Set<PendingSocket>();
  /** Those in a handshake, by both ends' addresses: a TLS socket does not say which socket it took over. */
  readonly #shaking = new Map<string, PendingSocket>();
  #tls: TlsServer | null = null;
  readonly #stop: () => void;

  constructor(options: MeshAcceptOptions) {
    this.#options = options;
    const { identity } = options.mesh;
    // Connections that are open stay with what they were made with.
    this.#stop = identity.onChange(() => this.#tls?.setSecureContext(meshContextOptions(identity.current)));
  }

  /** Sockets that are neither plain nor secure yet. */
  get pending(): number {
    return this.#pending.size;
  }

  accept(socket: Socket): ReadCallback | null {
    // "off" does not refuse mutual TLS: for a moment callers go by the policy from before.
    const mode = this.#options.mesh.mode();
    const pending = new PendingSocket(socket, this.#options, () => this.#pending.delete(pending));
    this.#pending.add(pending);
    let read: ReadCallback | null = null;
    if (mode === "permissive" && this.#options.speaksFirst()) {
      setTimeout(() => {
        if (read !== null || pending.over || socket.destroyed) return;
        pending.release();
        read = this.#options.onPlain(socket);
        if (read === null) socket.destroy();
      }, SILENT_MS).unref();
    }
    return (chunk, start, end) => {
      if (read !== null) return read(chunk, start, end);
      if (start === end || pending.over) return true;
      const first = chunk[start];
      if (first === HANDSHAKE) {
        this.#shake(pending, chunk, start, end);
        return true;
      }
      if (mode === "strict") {
        this.#refusePlain(pending, first);
        return true;
      }
      pending.release();
      read = this.#options.onPlain(socket);
      if (read === null) socket.destroy();
      return read === null || read(chunk, start, end);
    };
  }

  close(): void {
    this.#stop();
    for (const { socket } of this.#pending) socket.destroy();
  }

  #refusePlain({ socket }: PendingSocket, first: number): void {
    const what = first >= 0x20 && first < 0x7f ? "plain text" : "neither TLS nor HTTP";
    const { id } = this.#options.mesh.identity;
    const advice = "call it from a process of the mesh, or set mtls: permissive";
    this.#options.onRefused(
      { ...peerOf(socket), identity: "" },
      `refused: it speaks ${what}, and ${id} takes mutual TLS alone (mtls: strict); ${advice}`,
    );
    socket.destroy();
  }

  #shake(pending: PendingSocket, chunk: Uint8Array, start: number, end: number): void {
    const { socket } = pending;
    pending.over = true;
    socket.removeAllListeners("data");
    socket.pause();
    // What was read so far is given back, and the TLS socket takes it from there.
    socket.unshift(Buffer.from(chunk.subarray(start, end)));
    this.#shaking.set(pathOf(socket), pending);
    socket.once("close", () => this.#shaking.delete(pathOf(socket)));
    this.#server().emit("connection", socket);
  }

  /** Made when the first handshake comes; it listens nowhere. */
  #server(): TlsServer {
    if (this.#tls !== null) return this.#tls;
    const { mesh, timeoutMs } = this.#options;
    const server = tlsModule().createServer({
      ...meshContextOptions(mesh.identity.current),
      requestCert: true,
      rejectUnauthorized: false,
      ALPNProtocols: ["h2", "http/1.1", ...(this.#options.bytes ? [BYTES_ALPN] : [])],
      handshakeTimeout: timeoutMs,
      allowHalfOpen: true,
    });
    server.on("tlsClientError", (error: Error, socket: TLSSocket) => {
      const address = formatAddress(socket.remoteAddress, socket.remotePort);
      this.#options.onRefused({ ...NOBODY, address }, `TLS handshake failed: ${error.message}`);
      // Node leaves that to us, also when a handshake takes too long: it would keep its place for ever.
      socket.destroy();
    });
    server.on("secureConnection", (socket: TLSSocket) => this.#judge(socket));
    this.#tls = server;
    return server;
  }

  #judge(socket: TLSSocket): void {
    const path = pathOf(socket);
    this.#shaking.get(path)?.release();
    this.#shaking.delete(path);
    const { identity, anonymous = false } = this.#options.mesh;
    const nobody = anonymous && socket.getPeerX509Certificate() === undefined && !socket.isSessionReused();
    const refusal = nobody ? null : meshRefusal(socket, identity.id, null);
    if (refusal === null) return this.#options.onSecure(socket);
    this.#options.onRefused({ ...peerOf(socket), identity: "" }, `refused: ${refusal}`);
    socket.on("error", ignore);
    // In HTTP/2 it can be told why, and that nothing was done.
    if (socket.alpnProtocol === "h2") socket.write(goAway(refusal));
    socket.destroySoon();
  }
}

/** A socket before it is known what it speaks. */
class PendingSocket implements Ticking {
  readonly socket: Socket;
  /** Its first byte was seen. */
  over = false;
  readonly #loop: Loop;
  readonly #timeoutMs: number;
  readonly #onReleased: () => void;
  #since = -1;

  constructor(socket: Socket, { loop, timeoutMs }: MeshAcceptOptions, onReleased: () => void) {
    this.socket = socket;
    this.#loop = loop;
    this.#timeoutMs = timeoutMs;
    this.#onReleased = onReleased;
    socket.on("error", ignore);
    socket.on("end", this.#onEnd);
    socket.on("close", this.#onClose);
    loop.add(this);
  }

  /** Somebody else has the socket from now on. */
  release(): void {
    this.socket.off("end", this.#onEnd);
    this.socket.off("close", this.#onClose);
    this.#onClose();
  }

  tick(now: number): void {
    if (this.#since < 0) this.#since = now;
    else if (!this.over && now - this.#since >= this.#timeoutMs) this.socket.destroy();
  }

  readonly #onEnd = (): void => {
    if (!this.over) this.socket.destroy();
  };

  readonly #onClose = (): void => {
    this.#loop.remove(this);
    this.#onReleased();
  };
}

/** How long a TLS client may take for its first byte where the server may speak first. */
const SILENT_MS = 300;
/** The first byte of a TLS record that holds a handshake. */
const HANDSHAKE = 0x16;
const NOBODY: PeerInfo = { address: "unknown", localAddress: "unknown", secure: true, identity: "" };

/** Both ends: what tells one open connection from all others. */
function pathOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

/** SETTINGS, and GOAWAY "INADEQUATE_SECURITY" with the last stream 0 (RFC 9113 sections 3.4 and 6.8). */
function goAway(reason: string): Buffer {
  const debug = Buffer.from(reason.slice(0, 128), "latin1");
  const head = Buffer.from([
    0,
    0,
    0,
    4,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    8 + debug.length,
    7,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    12,
  ]);
  return Buffer.concat([head, debug]);
}

function ignore(): void {}
