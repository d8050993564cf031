import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createCertificate, encodePem, parsePem } from "./certificate.ts";
import { derInteger, derOid, derTime, readDer } from "./der.ts";

const at = Date.UTC(2026, 10, 21);
const hour = 3_600_000;

function authority(kind: "P-256" | "P-384" | "rsa") {
  const { publicKey, privateKey } =
    kind === "rsa"
      ? generateKeyPairSync("rsa", { modulusLength: 2_048 })
      : generateKeyPairSync("ec", { namedCurve: kind });
  const certificate = createCertificate(
    {
      publicKey,
      commonName: "shop authority",
      organization: "shop",
      uri: "spiffe://shop",
      notBeforeMs: at,
      notAfterMs: Date.UTC(2060, 0),
      authority: true,
    },
    privateKey,
  );
  return { certificate, privateKey };
}

for (const kind of ["P-256", "P-384", "rsa"] as const) {
  test(`a leaf under an authority with a ${kind} key is taken by node and by openssl`, () => {
    const issuer = authority(kind);
    const leafKey = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const leaf = createCertificate(
      {
        publicKey: leafKey.publicKey,
        commonName: "orders",
        organization: "shop",
        uri: "spiffe://shop/orders",
        notBeforeMs: at,
        notAfterMs: at + hour,
        authority: false,
      },
      issuer,
    );
    const root = new X509Certificate(issuer.certificate);
    const read = new X509Certificate(leaf);
    assert.equal(read.subjectAltName, "URI:spiffe://shop/orders");
    assert.equal(read.ca, false);
    assert.equal(root.ca, true);
    assert.equal(root.subjectAltName, "URI:spiffe://shop");
    assert.equal(new Date(root.validTo).getUTCFullYear(), 2060);
    assert.ok(read.checkIssued(root));
    assert.ok(read.verify(root.publicKey));
    assert.ok(read.checkPrivateKey(leafKey.privateKey));
    assert.deepEqual(read.keyUsage, ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
    assert.equal(Date.parse(read.validTo), at + hour);

    const folder = mkdtempSync(join(tmpdir(), "weft-certificate-"));
    writeFileSync(join(folder, "root.pem"), encodePem(issuer.certificate));
    writeFileSync(join(folder, "leaf.pem"), encodePem(leaf));
    for (const purpose of ["sslserver", "sslclient"]) {
      const args = ["verify", "-x509_strict", "-purpose", purpose, "-attime", String((at + 1_000) / 1_000)];
      const ran = spawnSync("openssl", [...args, "-CAfile", join(folder, "root.pem"), join(folder, "leaf.pem")]);
      if (ran.error === undefined) assert.equal(ran.status, 0, `${ran.stdout}${ran.stderr}`);
    }
    rmSync(folder, { recursive: true });
    assert.equal(parsePem(encodePem(leaf) + encodePem(issuer.certificate)).length, 2);
  });
}

test("a key of a kind that cannot sign here is refused with the kinds that can", () => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const request = { publicKey, commonName: "a", organization: "a", uri: "spiffe://a", notBeforeMs: at, notAfterMs: at };
  assert.throws(() => createCertificate({ ...request, authority: true }, privateKey), /P-256.*RSA, not ed25519/);
});

test("DER numbers are minimal and positive, times change their form in 2050, and what is cut off is refused", () => {
  assert.deepEqual([...derInteger(Buffer.from([0, 0, 0x80]))], [2, 2, 0, 0x80]);
  assert.deepEqual([...derInteger(0)], [2, 1, 0]);
  assert.deepEqual([...derOid("1.2.840.113549")], [6, 6, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]);
  assert.equal(derTime(Date.UTC(2049, 11, 31, 23, 59, 59)).toString("latin1", 2), "491231235959Z");
  assert.equal(derTime(Date.UTC(2050, 0)).toString("latin1", 2), "20500101000000Z");
  assert.throws(() => readDer(Buffer.from([0x30, 5, 1]), 0), RangeError);
  assert.throws(() => readDer(Buffer.from([0x30, 0x80]), 0), RangeError);
  assert.throws(() => readDer(Buffer.from([0x30]), 0), RangeError);
});
