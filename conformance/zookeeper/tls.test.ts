import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openZookeeperKeyValue } from "../../src/drivers/zookeeper/zookeeper-key-value.ts";
import { openZookeeperRegistry } from "../../src/drivers/zookeeper/zookeeper-registry.ts";
import { endpointOf } from "../../src/registry/registry.case.ts";
import { ANY } from "../../src/settings/key-value.ts";
import { freePort } from "../free-port.ts";
import { ZookeeperServer } from "./server.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-zookeeper-tls-"));
after(() => rmSync(folder, { recursive: true }));

function openssl(...args: string[]): void {
  const ran = spawnSync("openssl", args, { cwd: folder, encoding: "utf8" });
  assert.equal(ran.status, 0, ran.stderr);
}

/** NAME.pem and NAME.key, signed by ca.pem. */
function certificate(name: string, subject: string): void {
  openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", `${name}.key`);
  openssl("req", "-new", "-key", `${name}.key`, "-subj", `/CN=${subject}`, "-out", `${name}.csr`);
  writeFileSync(join(folder, `${name}.ext`), `subjectAltName=DNS:${subject},IP:127.0.0.1\n`);
  const signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"];
  openssl("x509", "-req", "-in", `${name}.csr`, ...signed, "-extfile", `${name}.ext`, "-out", `${name}.pem`);
}

test("TLS: by its authority and a certificate of its own, and by nothing else", async () => {
  openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "ca.key");
  openssl("req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=Shop CA", "-days", "2", "-out", "ca.pem");
  openssl("req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=Other CA", "-days", "2", "-out", "other.pem");
  certificate("server", "zookeeper.shop");
  certificate("client", "weft");
  const both = ["server.key", "server.pem"].map((name) => readFileSync(join(folder, name), "utf8"));
  writeFileSync(join(folder, "store.pem"), both.join(""));
  const port = await freePort();
  const server = await ZookeeperServer.start([
    "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory",
    `secureClientPort=${port}`,
    "secureClientPortAddress=127.0.0.1",
    `ssl.keyStore.location=${join(folder, "store.pem")}`,
    "ssl.keyStore.type=PEM",
    `ssl.trustStore.location=${join(folder, "ca.pem")}`,
    "ssl.trustStore.type=PEM",
  ]);
  try {
    const file = (name: string): string => encodeURIComponent(join(folder, name));
    const own = `cert=${file("client.pem")}&key=${file("client.key")}`;
    const url = (query: string): string => `zookeeper://127.0.0.1:${port}?${query}`;
    const good = url(`ca=${file("ca.pem")}&${own}&serverName=zookeeper.shop`);
    const registry = await openZookeeperRegistry({ url: good, system: "shop" });
    await registry.register(endpointOf("alpha", 1), 5_000);
    const byAddress = await openZookeeperRegistry({ url: url(`ca=${file("ca.pem")}&${own}`), system: "shop" });
    assert.equal((await byAddress.query(["alpha"])).endpoints.length, 1);
    const store = await openZookeeperKeyValue({ url: good, system: "shop" });
    const large = Buffer.alloc(262_144, 7);
    await store.put("case/large", large, ANY);
    assert.deepEqual(Buffer.from((await store.get("case/large"))?.value ?? []), large);
    for (const one of [registry, byAddress, store]) await one.close();

    const refused: [string, RegExp][] = [
      [url(`tls=true&${own}`), /UNABLE_TO_VERIFY|SELF_SIGNED|unable to verify/],
      [url(`ca=${file("other.pem")}&${own}`), /UNABLE_TO_VERIFY|SELF_SIGNED|CERT_SIGNATURE_FAILURE|signature/i],
      [url(`ca=${file("ca.pem")}&${own}&serverName=elsewhere.shop`), /ERR_TLS_CERT_ALTNAME_INVALID/],
      [url(`ca=${file("ca.pem")}`), /closed by it|ALERT|failed/],
      [`zookeeper://127.0.0.1:${port}`, /closed by it|gets no answer|failed/],
    ];
    // All at once: each is asked for the whole time, in which a busy machine brings at least one handshake to its end.
    await Promise.all(
      refused.map(([bad, why]) =>
        assert.rejects(
          openZookeeperRegistry({ url: bad, system: "shop", openTimeoutMs: 5_000 }),
          (error: Error & { code: string }) => {
            assert.equal(error.code, "unavailable", error.message);
            assert.match(error.message, why);
            return true;
          },
        ),
      ),
    );
    const missing = openZookeeperRegistry({ url: url("ca=/nowhere/ca.pem"), system: "shop" });
    await assert.rejects(missing, {
      code: "invalid_argument",
      message: /\/nowhere\/ca\.pem, cannot be read \(ENOENT\)/,
    });
    const noPem = openZookeeperRegistry({ url: url(`ca=${file("server.ext")}`), system: "shop" });
    await assert.rejects(noPem, { code: "invalid_argument", message: /holds no PEM certificate/ });
  } finally {
    await server.stop();
  }
});
