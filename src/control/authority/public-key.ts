import { createPublicKey, type KeyObject } from "node:crypto";
import { WeftError } from "../../core/errors.ts";

/** A public key as it comes in a request. Throws `invalid_argument` unless it is EC on P-256. */
export function parsePublicKey(spki: Uint8Array): KeyObject {
  try {
    if (spki.length <= 256) {
      const key = createPublicKey({ key: Buffer.from(spki), type: "spki", format: "der" });
      if (key.asymmetricKeyDetails?.namedCurve === "prime256v1") return key;
    }
  } catch {
    // told below
  }
  throw new WeftError("invalid_argument", "public_key must be a SubjectPublicKeyInfo (DER) of an EC key on P-256", {
    reason: "BAD_PUBLIC_KEY",
    place: { field: "public_key" },
  });
}
