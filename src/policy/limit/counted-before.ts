import type { CallState } from "../machine/call-state.ts";

/*
 * Limits that are enforced by gateways and by services (enforcedBy "both"): a gateway says for which ones it has counted a call, so that it is counted once. A
 * service believes that from peers that proved who they are, and from nobody else: otherwise whoever reaches it past the gateway could say so as well.
 */

export function tellCounted(call: CallState, limit: string): void {
  call.addRequestField(LIMITED, limit);
}

export function isCountedBefore({ caller, request }: CallState, limit: string): boolean {
  if (caller.place !== "server" || caller.peerIdentity === "") return false;
  const { fields } = caller.asSent ?? request;
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === LIMITED && fields[i + 1] === limit) return true;
  return false;
}

/** A gateway takes it out of what comes from outside. */
const LIMITED = "x-weft-limited";
