import { createPrivateKey, X509Certificate } from "node:crypto";
import type { ProveSchema } from "../contract/gen/weft/control/v1/control.ts";
import type { MessageInitShape } from "../contract/runtime.ts";
import type { IdentitySource } from "../core/identity.ts";
import { operatorProof, signProof } from "../core/identity-proof.ts";

/** How a process shows on its line to the control plane who it is. */
export interface LineProof {
  /** What it proves by now; another one is shown anew. Null: nothing yet. */
  by(): unknown;
  over(challenge: Uint8Array): MessageInitShape<typeof ProveSchema>;
}

/** By the key of the certificate that the process has. `identity` answers null as long as there is none. */
export function identityProof(identity: () => IdentitySource | null): LineProof {
  return {
    by: () => identity()?.current.certificate ?? null,
    over(challenge) {
      const { certificate, privateKey } = identity()?.current ?? { certificate: "", privateKey: "" };
      const signature = signProof("attach", challenge, createPrivateKey(privateKey));
      return { certificate: new X509Certificate(certificate).toString(), signature };
    },
  };
}

/** By the operator's secret, for a host that registers what others are. `secret` answers "" where there is none. */
export function operatorLineProof(secret: () => string): LineProof {
  return {
    by: () => secret() || null,
    over: (challenge) => ({ operator: operatorProof(challenge, secret()) }),
  };
}
