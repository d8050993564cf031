import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openEtcdRegistry } from "../../src/drivers/etcd/etcd-registry.ts";
import { endpointOf } from "../../src/registry/registry.case.ts";
import { Plane, timeUntil } from "../registry-plane.ts";
import { EtcdServer } from "./server.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-etcd-tls-"));
after(() => rmSync(folder, { recursive: true }));

test("a login: right, wrong, without rights to the keys, and its token forgotten by the server", async () => {
  // Looking at a password takes long on purpose, and longer than anybody waits where much else is to be done.
  const server = await EtcdServer.start(["--bcrypt-cost", "4"]);
  try {
    const admin = async (path: string, body: object): Promise<void> => {
      const response = await fetch(`http://${server.address}/v3/auth/${path}`, {
        method: "POST",
        body: JSON.stringify(body),
      });
      assert.ok(response.ok, `${path}: ${await response.text()}`);
    };
    const text = (key: string): string => Buffer.from(key).toString("base64");
    for (const [user, password] of [
      ["root", "toor"],
      ["weft", "p@ss"],
      ["nobody", "p@ss"],
    ])
      await admin("user/add", { name: user, password });
    await admin("role/add", { name: "root" });
    await admin("user/grant", { user: "root", role: "root" });
    await admin("role/add", { name: "endpoints" });
    const perm = { permType: "READWRITE", key: text("/weft/shop/"), range_end: text("/weft/shop0") };
    await admin("role/grant", { name: "endpoints", perm });
    await admin("user/grant", { user: "weft", role: "endpoints" });
    await admin("enable", {});

    const refused = async (login: string, code: string): Promise<void> => {
      // It is refused at once, however long opening would wait; only etcd takes its time to look at a password.
      const opening = openEtcdRegistry({ url: `etcd://${login}${server.address}`, system: "shop" });
      const thrown = await opening.then(
        () => assert.fail("opened"),
        (error: Error & { code: string }) => error,
      );
      assert.equal(thrown.code, code, thrown.message);
      for (let error: unknown = thrown; error instanceof Error; error = error.cause)
        assert.ok(!/p@ss|p%40ss|wrong-one/.test(error.message + error.stack), error.message);
    };
    await refused("weft:wrong-one@", "unauthenticated");
    await refused("nobody:p%40ss@", "permission_denied");
    await refused("", "unauthenticated");

    const plane = await Plane.open(openEtcdRegistry, { url: `etcd://weft:p%40ss@${server.address}`, system: "shop" });
    await plane.register(1);
    await server.kill();
    await server.start();
    const took = await timeUntil(
      () =>
        plane.registry.register(endpointOf("alpha", 2), 3_000).then(
          () => true,
          () => false,
        ),
      "registering with a new token",
    );
    console.log(`measured token forgotten: right again after ${Math.round(took)} ms`);
    assert.deepEqual(plane.left, []);
    await plane.close();
  } finally {
    await server.stop();
  }
});

test("TLS: by the right authority, with a client's certificate; not by another one, nor in plain text", async () => {
  const make = (name: string, more: readonly string[]): void => {
    const args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    const out = ["-keyout", join(folder, `${name}.key`), "-out", join(folder, `${name}.pem`), "-subj", `/CN=${name}`];
    const made = spawnSync("openssl", [...args, ...out, ...more], { encoding: "utf8" });
    assert.equal(made.status, 0, made.stderr);
  };
  const ca = ["-CA", join(folder, "ca.pem"), "-CAkey", join(folder, "ca.key")];
  make("ca", ["-addext", "keyUsage=critical,keyCertSign"]);
  make("other", []);
  make("server", [...ca, "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:false"]);
  make("client", [...ca, "-addext", "basicConstraints=critical,CA:false"]);
  const file = (name: string): string => join(folder, name);
  const tls = [
    "--cert-file",
    file("server.pem"),
    "--key-file",
    file("server.key"),
    "--trusted-ca-file",
    file("ca.pem"),
  ];
  const server = await EtcdServer.start([...tls, "--client-cert-auth"]);
  try {
    const url = `etcd://${server.address}`;
    const mutual = `cert=${file("client.pem")}&key=${file("client.key")}`;
    const plane = await Plane.open(openEtcdRegistry, { url: `${url}?ca=${file("ca.pem")}&${mutual}`, system: "shop" });
    await plane.register(1);
    await timeUntil(() => plane.ids() === "alpha-1", "its own endpoint");
    await plane.close();
    for (const wrong of [`?ca=${file("other.pem")}&${mutual}`, `?ca=${file("ca.pem")}`, ""]) {
      const opening = openEtcdRegistry({ url: url + wrong, system: "shop", openTimeoutMs: 1_000 });
      await assert.rejects(opening, (error: Error & { code: string }) => error.code === "unavailable", wrong);
    }
  } finally {
    await server.stop();
  }
});
