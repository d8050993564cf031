import { execFileSync } from "node:child_process";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCertificate, encodePem } from "../../src/core/certificate.ts";
import type { IdentityMaterial } from "../../src/core/identity.ts";
import type { TestAuthority } from "../../src/net/identity.case.ts";

export interface Crafted {
  readonly who: string;
  readonly material: IdentityMaterial;
  readonly reason: RegExp;
}

const HOUR_MS = 3_600_000;
const NO_ID = /holds no SPIFFE id/;
const FOREIGN = /of another system: spiffe:/;

/** Certificates that the system's own authority has signed, or that look as if it had, and that are nobody's identity all the same. */
export function craftedCertificates(shop: TestAuthority): Crafted[] {
  const named = (who: string, uri: string, reason = NO_ID): Crafted => {
    return { who, material: shop.issue("web", { uri }), reason };
  };
  return [
    named("a trust domain that begins as ours", "spiffe://shop-evil/web", FOREIGN),
    named("a trust domain with ours as its first label", "spiffe://shop.evil.example/web", FOREIGN),
    named("a path that says our name", "spiffe://evil/shop/web", FOREIGN),
    named("a user before the trust domain", "spiffe://shop@evil/web"),
    named("a port behind the trust domain", "spiffe://shop:443/web"),
    named("the scheme in upper case", "SPIFFE://shop/web"),
    named("the trust domain in upper case", "spiffe://SHOP/web"),
    named("a wildcard", "spiffe://shop/*"),
    named("a NUL behind the name", "spiffe://shop/web\0.evil"),
    named("a line feed in the name", "spiffe://shop/web\nspiffe://shop/admin"),
    named("a comma and another URI in the name", "spiffe://shop/web, URI:spiffe://shop/admin"),
    named("an empty segment", "spiffe://shop//web"),
    named("a slash at the end", "spiffe://shop/web/"),
    named("a segment that goes up", "spiffe://shop/web/../admin"),
    named("a query", "spiffe://shop/web?admin"),
    named("the trust domain alone", "spiffe://shop"),
    named("a percent-encoded name", "spiffe://shop/%77eb"),
    {
      who: "a process's certificate that signed another",
      material: chained(shop),
      reason: /not signed by an authority/,
    },
    ...byOpenssl(shop),
  ];
}

/** A leaf below one that was issued to "web". */
function chained(shop: TestAuthority): IdentityMaterial {
  const between = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const own = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const times = { organization: shop.system, notBeforeMs: Date.now() - HOUR_MS, notAfterMs: Date.now() + HOUR_MS };
  const first = createCertificate(
    { ...times, publicKey: between.publicKey, commonName: "web", uri: "spiffe://shop/web", authority: false },
    { certificate: shop.certificate, privateKey: shop.privateKey },
  );
  const second = createCertificate(
    { ...times, publicKey: own.publicKey, commonName: "admin", uri: "spiffe://shop/admin", authority: false },
    { certificate: first, privateKey: between.privateKey },
  );
  return materialOf(encodePem(second) + encodePem(first), own.privateKey, shop);
}

/** Those that weft's own encoder does not make. */
function byOpenssl(shop: TestAuthority): Crafted[] {
  const folder = mkdtempSync(join(tmpdir(), "weft-crafted-"));
  const at = (name: string): string => join(folder, name);
  const openssl = (...args: string[]): void => void execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
  writeFileSync(at("ca.pem"), shop.trust);
  writeFileSync(at("ca.key"), shop.privateKey.export({ type: "pkcs8", format: "pem" }));
  const own = generateKeyPairSync("ec", { namedCurve: "P-256" });
  writeFileSync(at("own.key"), own.privateKey.export({ type: "pkcs8", format: "pem" }));
  openssl("req", "-new", "-key", "own.key", "-subj", "/CN=web", "-out", "own.csr");
  const signed = (...extensions: string[]): IdentityMaterial => {
    writeFileSync(at("own.ext"), `${extensions.join("\n")}\n`);
    openssl(
      ...["x509", "-req", "-in", "own.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "1", "-out", "own.pem"],
      ...["-CAcreateserial", "-extfile", "own.ext"],
    );
    return materialOf(readFileSync(at("own.pem"), "utf8"), own.privateKey, shop);
  };
  const leaf = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature"];
  const web = "subjectAltName=URI:spiffe://shop/web";
  try {
    return [
      {
        who: "two SPIFFE ids in one certificate",
        material: signed(...leaf, `${web},URI:spiffe://shop/admin`),
        reason: NO_ID,
      },
      {
        who: "a DNS name that reads like a SPIFFE id",
        material: signed(...leaf, "subjectAltName=@names", "[names]", 'DNS.1="x, URI:spiffe://shop/admin"'),
        reason: NO_ID,
      },
      {
        who: "a SPIFFE id as a DNS name",
        material: signed(...leaf, "subjectAltName=DNS:spiffe.shop.web"),
        reason: NO_ID,
      },
      { who: "a SPIFFE id as the common name alone", material: signed(...leaf), reason: NO_ID },
      {
        who: "a certificate that may sign others, with a process's id",
        material: signed("basicConstraints=critical,CA:TRUE", "keyUsage=critical,digitalSignature,keyCertSign", web),
        reason: /is that of an authority, not of a process|not signed by an authority/,
      },
      {
        who: "a certificate for signing code",
        material: signed(...leaf, "extendedKeyUsage=codeSigning", web),
        reason: /not signed by an authority|TLS handshake failed/,
      },
      {
        who: "a certificate for servers, shown by a client",
        material: signed(...leaf, "extendedKeyUsage=serverAuth", web),
        reason: /not signed by an authority|TLS handshake failed/,
      },
    ];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function materialOf(certificate: string, key: KeyObject, { trust }: TestAuthority): IdentityMaterial {
  const privateKey = key.export({ type: "pkcs8", format: "pem" }).toString();
  return { certificate, privateKey, trust, notAfterMs: Date.now() + HOUR_MS };
}
