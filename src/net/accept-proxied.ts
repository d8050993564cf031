import type { Socket } from "node:net";
import { hostOfAddress } from "../core/network.ts";
import { ProxyHeaderReader } from "../wire/proxy-protocol/proxy-header-reader.ts";
import type { PeerInfo } from "../wire/stream.ts";
import type { OnAccept } from "./accept.ts";
import { peerOf, tellAddress } from "./peer.ts";

export interface ProxiedAcceptOptions {
  /** Whether a header comes first from this address (no port), and is believed. */
  readonly proxied: (address: string) => boolean;
  /** Takes the socket with what comes after the header. */
  readonly accept: OnAccept;
  /** For the header. */
  readonly timeoutMs: number;
  readonly hasRoom: () => boolean;
  /** Where sockets are counted while their header is awaited. */
  readonly pending: Set<Socket>;
  readonly onRefused: (peer: PeerInfo, message: string) => void;
}

/** Reads the header of the PROXY protocol of those who have to send one, before anything else is made of the socket. */
export function acceptProxied(options: ProxiedAcceptOptions): OnAccept {
  const { proxied, accept, timeoutMs, hasRoom, pending, onRefused } = options;
  return (socket) => {
    if (!hasRoom() || socket.remoteAddress === undefined) return null;
    if (!proxied(hostOfAddress(peerOf(socket).address))) return accept(socket);
    const refuse = (message: string): void => {
      onRefused(peerOf(socket), message);
      socket.destroy();
    };
    const timer = setTimeout(() => refuse("no PROXY protocol header came in time"), timeoutMs);
    const onEnd = (): void => void socket.destroy();
    const forget = (): void => {
      clearTimeout(timer);
      pending.delete(socket);
    };
    timer.unref();
    pending.add(socket);
    socket.on("error", ignore);
    socket.once("end", onEnd);
    socket.once("close", forget);
    const reader = new ProxyHeaderReader();
    let read: ReturnType<OnAccept> = null;
    let over = false;
    return (chunk, start, end) => {
      if (read !== null) return read(chunk, start, end);
      if (over) return true;
      try {
        const header = reader.feed(chunk, start, end);
        if (header === null) return true;
        if (header.source !== "") tellAddress(socket, header.source);
      } catch (thrown) {
        over = true;
        refuse(thrown instanceof Error ? thrown.message : String(thrown));
        return true;
      }
      over = true;
      forget();
      socket.off("end", onEnd);
      socket.off("close", forget);
      read = accept(socket);
      if (read === null) socket.destroy();
      return read === null || read(chunk, start + reader.consumed, end);
    };
  };
}

function ignore(): void {}
