import { fieldOf } from "../core/fields.ts";
import type { PeerInfo } from "../wire/stream.ts";

/** The field by which a sidecar tells its application who calls: the SPIFFE id that the caller proved to it. Sidecars take it out of whatever comes in. */
export const PEER_FIELD = "x-weft-peer";

/** Who calls an application that stands behind a sidecar, as the sidecar says, which is on this machine. Others are who they prove to be themselves. */
export function peerBehindSidecar(peer: PeerInfo, fields: readonly string[]): PeerInfo {
  const local = peer.address.startsWith("127.") || peer.address.startsWith("[::1]:");
  const identity = local && peer.identity === "" ? fieldOf(fields, PEER_FIELD) : undefined;
  return identity === undefined ? peer : { ...peer, identity };
}
