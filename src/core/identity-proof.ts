import { type KeyObject, sign, verify } from "node:crypto";

/** What a process signs to show that a key is its own: by the new key ("issue"), and by that of the certificate it has ("renew"). */
export type ProofKind = "issue" | "renew";

export function signProof(kind: ProofKind, publicKey: Uint8Array, key: KeyObject): Buffer {
  return sign("sha256", wordsOf(kind, publicKey), key);
}

export function isProof(kind: ProofKind, publicKey: Uint8Array, key: KeyObject, proof: Uint8Array): boolean {
  return proof.length <= 128 && verify("sha256", wordsOf(kind, publicKey), key, proof);
}

/** A signature for one purpose must mean nothing for another. */
function wordsOf(kind: ProofKind, publicKey: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`weft.identity.v1.${kind}\0`, "latin1"), publicKey]);
}
