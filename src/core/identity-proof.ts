import { createHmac, type KeyObject, sign, timingSafeEqual, verify } from "node:crypto";

/**
 * What a process signs to show that a key is its own: by the new key ("issue"), and by that of the certificate it has ("renew"), over the new public key;
 * and by the latter over the challenge of a line to the control plane ("attach").
 */
export type ProofKind = "issue" | "renew" | "attach";

export function signProof(kind: ProofKind, about: Uint8Array, key: KeyObject): Buffer {
  return sign("sha256", wordsOf(kind, about), key);
}

export function isProof(kind: ProofKind, about: Uint8Array, key: KeyObject, proof: Uint8Array): boolean {
  return proof.length <= 128 && verify("sha256", wordsOf(kind, about), key, proof);
}

/** Shows on a line that its process has the operator's secret, without showing the secret. */
export function operatorProof(challenge: Uint8Array, secret: string): Buffer {
  const key = createHmac("sha256", secret).update("weft operator line v1").digest();
  return createHmac("sha256", key).update(challenge).digest();
}

export function isOperatorProof(challenge: Uint8Array, secret: string, proof: Uint8Array): boolean {
  const own = operatorProof(challenge, secret);
  return proof.length === own.length && timingSafeEqual(proof, own);
}

/** A signature for one purpose must mean nothing for another. */
function wordsOf(kind: ProofKind, about: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`weft.identity.v1.${kind}\0`, "latin1"), about]);
}
