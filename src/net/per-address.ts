import type { Socket } from "node:net";
import { networkOf } from "../core/network-of.ts";
import type { OnAccept } from "./accept.ts";

/** Takes at most so many sockets of one address (of IPv6: of one network of 64 bits) at a time; who is over it is closed at once, and `onOver` told. */
export function perAddress(most: number, accept: OnAccept, onOver: () => void): OnAccept {
  if (!Number.isFinite(most)) return accept;
  const open = new Map<string, number>();
  return (socket: Socket) => {
    const address = networkOf(socket.remoteAddress ?? "");
    const count = open.get(address) ?? 0;
    if (count >= most) {
      onOver();
      return null;
    }
    open.set(address, count + 1);
    socket.once("close", () => {
      const left = (open.get(address) ?? 1) - 1;
      if (left === 0) open.delete(address);
      else open.set(address, left);
    });
    return accept(socket);
  };
}
