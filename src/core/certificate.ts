import { createHash, type KeyObject, randomBytes, sign, X509Certificate } from "node:crypto";
import {
  derBits,
  derBoolean,
  derContext,
  derImplicit,
  derInteger,
  derNull,
  derOctets,
  derOid,
  derSequence,
  derSet,
  derTime,
  derUtf8,
  readDer,
} from "./der.ts";

/**
 * X.509 certificates (RFC 5280) of the two profiles that a mesh needs, as X509-SVID (SPIFFE) has them: an authority, and a leaf with one SPIFFE id.
 *
 * Written here because the libraries that make certificates bring a dozen packages each, and these are two fixed shapes of some hundred bytes. What is made is
 * held against node's X509Certificate, OpenSSL and Go's crypto/x509 (tests, and the identity suite of conformance/).
 */
export interface CertificateRequest {
  readonly publicKey: KeyObject;
  /** "orders"; at most 64 characters are taken. */
  readonly commonName: string;
  /** "shop" */
  readonly organization: string;
  /** The one URI name: "spiffe://shop/orders", or "spiffe://shop" for an authority. */
  readonly uri: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** May sign others: leaves, and the authority that follows it. */
  readonly authority: boolean;
}

/** Who signs: an authority's certificate (DER) and its private key. */
export interface CertificateIssuer {
  readonly certificate: Uint8Array;
  readonly privateKey: KeyObject;
}

/** DER. Without an issuer the certificate signs itself by `privateKey`. Throws RangeError for an issuer's key of a kind that is not supported. */
export function createCertificate(request: CertificateRequest, issuer: CertificateIssuer | KeyObject): Buffer {
  const spki = request.publicKey.export({ type: "spki", format: "der" });
  const subject = nameOf(request);
  const own = keyIdOf(spki);
  const foreign = "certificate" in issuer ? readIssuer(issuer.certificate) : { subject, keyId: own };
  const { algorithm, digest } = signatureOf("certificate" in issuer ? issuer.privateKey : issuer);
  const toSign = derSequence(
    derContext(0, derInteger(2)),
    derInteger(serial()),
    algorithm,
    foreign.subject,
    derSequence(derTime(request.notBeforeMs), derTime(request.notAfterMs)),
    subject,
    spki,
    derContext(3, derSequence(...extensions(request, own, foreign.keyId))),
  );
  const signature = sign(digest, toSign, "certificate" in issuer ? issuer.privateKey : issuer);
  return derSequence(toSign, algorithm, derBits(signature));
}

export function encodePem(der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}

/** The certificates of a PEM text in their order. Throws RangeError for one that cannot be read. */
export function parsePem(text: string): X509Certificate[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch (cause) {
      throw new RangeError(`certificate ${index + 1} cannot be read`, { cause });
    }
  });
}

const OID = {
  commonName: "2.5.4.3",
  organization: "2.5.4.10",
  subjectKeyId: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  authorityKeyId: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
  ecdsaSha256: "1.2.840.10045.4.3.2",
  ecdsaSha384: "1.2.840.10045.4.3.3",
  rsaSha256: "1.2.840.113549.1.1.11",
};

function extensions({ uri, authority }: CertificateRequest, own: Buffer, issuer: Buffer | null): Buffer[] {
  const usage = authority ? derBits(Buffer.from([0x06]), 1) : derBits(Buffer.from([0x80]), 7); // keyCertSign, cRLSign | digitalSignature
  const list = [
    extension(OID.basicConstraints, true, authority ? derSequence(derBoolean(true)) : derSequence()),
    extension(OID.keyUsage, true, usage),
    extension(OID.subjectKeyId, false, derOctets(own)),
    extension(OID.subjectAltName, false, derSequence(derImplicit(6, Buffer.from(uri, "latin1")))),
  ];
  if (issuer !== null) list.push(extension(OID.authorityKeyId, false, derSequence(derImplicit(0, issuer))));
  const both = derSequence(derOid(OID.serverAuth), derOid(OID.clientAuth));
  if (!authority) list.push(extension(OID.extendedKeyUsage, false, both));
  return list;
}

function extension(oid: string, critical: boolean, value: Buffer): Buffer {
  return critical
    ? derSequence(derOid(oid), derBoolean(true), derOctets(value))
    : derSequence(derOid(oid), derOctets(value));
}

function nameOf({ organization, commonName }: CertificateRequest): Buffer {
  const part = (oid: string, text: string) => derSet(derSequence(derOid(oid), derUtf8(text.slice(0, 64))));
  return derSequence(part(OID.organization, organization), part(OID.commonName, commonName));
}

/** 127 random bits: positive, and never the same twice. */
function serial(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0] & 0x7f) | 0x40;
  return bytes;
}

/** RFC 7093 section 2, method 1. */
function keyIdOf(spki: Uint8Array): Buffer {
  const whole = readDer(spki, 0);
  const bits = readDer(spki, readDer(spki, whole.contentStart).end);
  return createHash("sha256")
    .update(spki.subarray(bits.contentStart + 1, bits.end))
    .digest()
    .subarray(0, 20);
}

/** Name and key id of an authority byte by byte as its own certificate has them, which is how they are compared. */
function readIssuer(der: Uint8Array): { subject: Uint8Array; keyId: Buffer | null } {
  const toSign = readDer(der, readDer(der, 0).contentStart);
  let at = toSign.contentStart;
  if (der[at] === 0xa0) at = readDer(der, at).end; // version
  for (let skipped = 0; skipped < 4; skipped++) at = readDer(der, at).end; // serial number, algorithm, issuer, validity
  const subject = readDer(der, at);
  const oid = derOid(OID.subjectKeyId);
  const found = Buffer.from(der).indexOf(oid, subject.end);
  if (found < 0) return { subject: der.subarray(subject.start, subject.end), keyId: null };
  const inner = readDer(der, readDer(der, found + oid.length).contentStart);
  const keyId = Buffer.from(der.subarray(inner.contentStart, inner.end));
  return { subject: der.subarray(subject.start, subject.end), keyId };
}

function signatureOf(key: KeyObject): { algorithm: Buffer; digest: string } {
  const curve = key.asymmetricKeyDetails?.namedCurve;
  if (curve === "prime256v1") return { algorithm: derSequence(derOid(OID.ecdsaSha256)), digest: "sha256" };
  if (curve === "secp384r1") return { algorithm: derSequence(derOid(OID.ecdsaSha384)), digest: "sha384" };
  if (key.asymmetricKeyType === "rsa")
    return { algorithm: derSequence(derOid(OID.rsaSha256), derNull()), digest: "sha256" };
  throw new RangeError(`an authority's key must be EC (P-256, P-384) or RSA, not ${curve ?? key.asymmetricKeyType}`);
}
