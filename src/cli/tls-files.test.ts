import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { PLAIN_CERT, PLAIN_KEY, SERVER_CERT, SERVER_KEY } from "../net/certificates.case.ts";
import { readCaFile, readTlsFiles, tlsOfFlags } from "./tls-files.ts";
import { weft } from "./weft.case.ts";

function files(t: TestContext, texts: Record<string, string>): (name: string) => string {
  const dir = mkdtempSync(join(tmpdir(), "weft-tls-"));
  t.after(() => rmSync(dir, { recursive: true }));
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(dir, name), text);
  return (name) => join(dir, name);
}

test("a certificate and its key are read", (t) => {
  const at = files(t, { "cert.pem": SERVER_CERT + PLAIN_CERT, "key.pem": SERVER_KEY });
  assert.deepEqual(tlsOfFlags({ tlsCert: at("cert.pem"), tlsKey: at("key.pem") }), {
    cert: SERVER_CERT + PLAIN_CERT,
    key: SERVER_KEY,
  });
  assert.equal(tlsOfFlags({}), undefined);
});

test("what is wrong with the files is one error that names them", (t) => {
  const at = files(t, {
    "cert.pem": SERVER_CERT,
    "key.pem": SERVER_KEY,
    "other.pem": PLAIN_KEY,
    "text.pem": "hello",
    "locked.pem": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
  });
  const cases: [cert: string, key: string, message: RegExp][] = [
    ["none.pem", "key.pem", /^--tls-cert .*none\.pem cannot be read: there is no such file$/],
    ["cert.pem", ".", /^--tls-key .* cannot be read: it is a folder$/],
    ["text.pem", "key.pem", /^--tls-cert .*text\.pem holds no PEM certificate$/],
    ["cert.pem", "text.pem", /^--tls-key .*text\.pem holds no PEM private key$/],
    ["cert.pem", "locked.pem", /^--tls-key .*locked\.pem is encrypted; give the key without a passphrase/],
    ["cert.pem", "other.pem", /^--tls-key .*other\.pem is not the key of --tls-cert .*cert\.pem; give the pair/],
  ];
  for (const [cert, key, message] of cases) {
    assert.throws(() => readTlsFiles({ cert: at(cert), key: at(key) }), { reason: "BAD_CERTIFICATE", message });
  }
  assert.throws(() => readCaFile(at("key.pem"), "--to-ca"), {
    message: /^--to-ca .*key\.pem holds no PEM certificate$/,
  });
});

test("one of the two flags alone is wrong usage", async () => {
  for (const [flag, missing] of [
    ["--tls-cert", "--tls-key"],
    ["--tls-key", "--tls-cert"],
  ] as const) {
    const { status, stderr } = await weft("proxy", "--listen", "0", "--to", "1", flag, "x.pem");
    assert.equal(status, 2);
    assert.match(stderr, new RegExp(`${flag} needs ${missing}: give both for TLS`));
  }
});

test("the description's certificate is checked before anything starts", async (t) => {
  const at = files(t, {
    "weft.yaml":
      "name: x\ngateway:\n  listen: 0\n  tls: { cert: cert.pem, key: key.pem }\nservices: { a: { run: [x] } }\n",
    "cert.pem": SERVER_CERT,
    "key.pem": PLAIN_KEY,
  });
  const { status, stderr } = await weft("up", at("weft.yaml"));
  assert.equal(status, 1);
  assert.match(
    stderr,
    /weft\.yaml:4 gateway\.tls\.key .*key\.pem is not the key of gateway\.tls\.cert .* \[BAD_CERTIFICATE\]/,
  );
});
