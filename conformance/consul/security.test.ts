import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openConsulKeyValue } from "../../src/drivers/consul/consul-key-value.ts";
import { openConsulRegistry } from "../../src/drivers/consul/consul-registry.ts";
import { endpointOf } from "../../src/registry/registry.case.ts";
import { ANY } from "../../src/settings/key-value.ts";
import { timeUntil } from "../registry-plane.ts";
import { ConsulServer } from "./server.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-consul-tls-"));
after(() => rmSync(folder, { recursive: true }));

/** Of leases that nobody renews, and that do not end while a test looks. */
const LASTING_MS = 120_000;
const MANAGEMENT = "00000000-1111-2222-3333-444444444444";
/** As docs/consul.md has it. */
const POLICY = `
  key_prefix "weft/shop/" { policy = "write" }
  service_prefix "" { policy = "write" }
  node_prefix "" { policy = "read" }
  agent_prefix "" { policy = "read" }
`;

test("ACLs: a token with the policy of the page, and what is said of every other one", async () => {
  const acl = `acl { enabled = true  default_policy = "deny"  tokens { initial_management = "${MANAGEMENT}" agent = "${MANAGEMENT}" } }`;
  const server = await ConsulServer.start({ hcl: acl, token: MANAGEMENT });
  try {
    const tokenOf = async (name: string, rules: string): Promise<{ SecretID: string; AccessorID: string }> => {
      await server.ask("/v1/acl/policy", { method: "PUT", body: { Name: name, Rules: rules } });
      const body = { Policies: [{ Name: name }] };
      return (await server.ask("/v1/acl/token", { method: "PUT", body })) as { SecretID: string; AccessorID: string };
    };
    const { SecretID: token } = await tokenOf("weft", POLICY);
    const url = (secret: string): string => `consul://${secret === "" ? "" : `${secret}@`}${server.address}`;
    const refused = async (secret: string, code: string, names: RegExp): Promise<void> => {
      for (const open of [openConsulRegistry, openConsulKeyValue]) {
        const thrown = await open({ url: url(secret), system: "shop" }).then(
          () => assert.fail("opened"),
          (error: Error & { code: string }) => error,
        );
        assert.equal(thrown.code, code, thrown.message);
        assert.match(thrown.message, names);
        for (let error: unknown = thrown; error instanceof Error; error = error.cause)
          assert.ok(secret === "" || !`${error.message}${error.stack}`.includes(secret), error.message);
      }
    };
    await refused("", "unauthenticated", /wants an ACL token \(what was asked needs key:write on "weft\/shop\//);
    await refused("99999999-1111-2222-3333-444444444444", "unauthenticated", /does not know the ACL token of the url/);
    const { SecretID: reader } = await tokenOf(
      "reader",
      POLICY.replace('/" { policy = "write" }', '/" { policy = "read" }'),
    );
    await refused(reader, "permission_denied", /it lacks key:write on "weft\/shop\//);
    const { SecretID: keys } = await tokenOf("keys", POLICY.replace('service_prefix "" { policy = "write" }', ""));
    await assert.rejects(openConsulRegistry({ url: url(keys), system: "shop" }), {
      code: "permission_denied",
      message: /it lacks service:write on "weft-control"/,
    });
    await assert.rejects(openConsulRegistry({ url: url(token), system: "other" }), { code: "permission_denied" });

    const problems: string[] = [];
    const registry = await openConsulRegistry({
      url: url(token),
      system: "shop",
      onError: ({ message }) => problems.push(message),
    });
    const store = await openConsulKeyValue({ url: url(token), system: "shop" });
    await registry.register(endpointOf("alpha", 1), LASTING_MS);
    const shown = async (): Promise<boolean> =>
      ((await server.ask("/v1/health/service/alpha?passing")) as unknown[]).length === 1;
    await timeUntil(shown, "shown in Consul");
    assert.ok(await store.put("a", Buffer.from("1"), ANY));
    assert.equal(problems.length, 0, problems.join("\n"));
    await store.close();
    await registry.close();

    const { SecretID: own } = await tokenOf(
      "own",
      `key_prefix "weft/shop/" { policy = "write" } service "weft-control" { policy = "write" } service "beta" { policy = "write" } agent_prefix "" { policy = "read" }`,
    );
    const narrow = await openConsulRegistry({
      url: url(own),
      system: "shop",
      onError: ({ message }) => problems.push(message),
    });
    await narrow.register(endpointOf("gamma", 1), LASTING_MS);
    await timeUntil(
      () => problems.some((text) => /lacks service:write on "gamma"/.test(text)),
      "what is not shown is told",
    );
    assert.ok(
      (await narrow.query(["gamma"])).endpoints.length === 1,
      "what Consul's clients are not shown is registered all the same",
    );
    await narrow.register(endpointOf("beta", 1), LASTING_MS);
    await timeUntil(
      async () => ((await server.ask("/v1/health/service/beta?passing")) as unknown[]).length === 1,
      "what may be shown is",
    );

    // A token that is taken away: what is known stays in use.
    const { SecretID: brief, AccessorID } = await tokenOf("brief", POLICY);
    const told: string[] = [];
    const loses = await openConsulRegistry({
      url: url(brief),
      system: "shop",
      onError: ({ message }) => told.push(message),
    });
    await loses.register(endpointOf("alpha", 2), LASTING_MS);
    await server.ask(`/v1/acl/token/${AccessorID}`, { method: "DELETE" });
    await timeUntil(() => told.some((text) => /does not know the ACL token/.test(text)), "the token is gone");
    assert.ok((await loses.query(["alpha"])).endpoints.some(({ id }) => id === "alpha-2"));
    assert.ok(!told.join("\n").includes(brief));
    await loses.close();
    await narrow.close();
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
  const file = (name: string): string => join(folder, name);
  const ca = ["-CA", file("ca.pem"), "-CAkey", file("ca.key")];
  make("ca", ["-addext", "keyUsage=critical,keyCertSign"]);
  make("other", []);
  make("server", [...ca, "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:false"]);
  make("client", [...ca, "-addext", "basicConstraints=critical,CA:false"]);
  const files = `ca_file = "${file("ca.pem")}" cert_file = "${file("server.pem")}" key_file = "${file("server.key")}"`;
  const server = await ConsulServer.start({ hcl: `tls { https { ${files} verify_incoming = true } }`, https: true });
  try {
    const url = `consul://${server.httpsAddress}`;
    const mutual = `cert=${file("client.pem")}&key=${file("client.key")}`;
    const registry = await openConsulRegistry({ url: `${url}?ca=${file("ca.pem")}&${mutual}`, system: "shop" });
    await registry.register(endpointOf("alpha", 1), LASTING_MS);
    await registry.close();
    for (const wrong of [`?ca=${file("other.pem")}&${mutual}`, `?ca=${file("ca.pem")}`, ""]) {
      const opening = openConsulRegistry({ url: url + wrong, system: "shop", openTimeoutMs: 1_000 });
      await assert.rejects(
        opening,
        (error: Error & { code: string }) => error.code === "unavailable" || error.code === "failed_precondition",
        wrong,
      );
    }
    await assert.rejects(openConsulRegistry({ url: `${url}?ca=${file("none.pem")}`, system: "shop" }), {
      code: "invalid_argument",
      message: /ca of Consul's url, .*none\.pem, cannot be read \(ENOENT\)/,
    });
  } finally {
    await server.stop();
  }
});
