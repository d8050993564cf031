import { createPrivateKey, type KeyObject, type X509Certificate } from "node:crypto";
import { parsePem } from "../../core/certificate.ts";
import { WeftError } from "../../core/errors.ts";

/** An authority that the user has, by whose certificate the control plane signs. All PEM. */
export interface GivenAuthority {
  /** The certificate that signs (an intermediate, or a root), then its chain. */
  readonly certificate: string;
  readonly privateKey: string;
  /** The roots that everybody trusts. Default: `certificate`, where that is a root. */
  readonly trust?: string;
}

export interface CheckedAuthority {
  readonly signer: X509Certificate;
  readonly privateKey: KeyObject;
  /** PEM that follows the leaf. */
  readonly chain: string;
  readonly trust: string;
  readonly notAfterMs: number;
}

/** Throws `invalid_argument`, reason BAD_AUTHORITY, unless certificates that it signs would be taken by whoever trusts `trust`. */
export function checkGivenAuthority(
  { certificate, privateKey, trust }: GivenAuthority,
  nowMs: number,
): CheckedAuthority {
  const [signer, ...above] = certificatesOf(certificate, "the authority's certificate");
  if (!signer.ca) throw bad("the authority's certificate may not sign others: it needs basicConstraints CA:TRUE");
  const key = keyOf(privateKey);
  if (!signer.checkPrivateKey(key)) throw bad("the authority's private key does not belong to its certificate");
  const last = signer.validToDate.getTime();
  if (last <= nowMs) throw bad(`the authority's certificate expired at ${signer.validToDate.toISOString()}`);
  const selfSigned = signer.checkIssued(signer);
  if (trust === undefined && !selfSigned)
    throw bad("the authority's certificate is an intermediate: give the root that everybody trusts, too (--ca-trust)");
  const roots = trust === undefined ? [signer] : certificatesOf(trust, "the trusted authorities");
  // Every step from the signer to a root, so that nobody is given a chain that leads nowhere.
  let at = signer;
  for (let steps = 0; !roots.some((root) => root.fingerprint256 === at.fingerprint256); steps++) {
    const root = roots.find((each) => isIssued(at, each));
    if (root !== undefined) break;
    const next = above.find((each) => isIssued(at, each));
    if (next === undefined || steps > 8)
      throw bad(`${oneLine(at.subject)} does not chain to any of the trusted authorities`);
    at = next;
  }
  return {
    signer,
    privateKey: key,
    chain: selfSigned ? "" : certificate,
    trust: roots.map((root) => root.toString()).join(""),
    notAfterMs: last,
  };
}

function certificatesOf(pem: string, what: string): X509Certificate[] {
  try {
    const list = parsePem(pem);
    if (list.length > 0 && list.length <= 16) return list;
  } catch (cause) {
    throw bad(`${what}: ${(cause as Error).message}`);
  }
  throw bad(`${what}: PEM with 1 to 16 certificates is needed`);
}

function keyOf(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    throw bad("the authority's private key cannot be read: PEM without a passphrase is needed"); // the cause may quote it
  }
}

function isIssued(certificate: X509Certificate, by: X509Certificate): boolean {
  return (
    certificate.fingerprint256 !== by.fingerprint256 && certificate.checkIssued(by) && certificate.verify(by.publicKey)
  );
}

function oneLine(name: string): string {
  return name.replaceAll("\n", ", ");
}

function bad(message: string): WeftError {
  return new WeftError("invalid_argument", message, { reason: "BAD_AUTHORITY" });
}
