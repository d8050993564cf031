import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { parse } from "yaml";
import { openKubernetesKeyValue } from "../../src/drivers/kubernetes/kubernetes-key-value.ts";
import { openKubernetesRegistry } from "../../src/drivers/kubernetes/kubernetes-registry.ts";
import { endpointOf } from "../../src/registry/registry.case.ts";
import { ANY } from "../../src/settings/key-value.ts";
import { timeUntil } from "../registry-plane.ts";
import { KubernetesServer } from "./server.ts";

/** Who is let in, and with which rights: exactly the Role that the docs have is enough, and what it lacks is named. */
const RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/rights";
let server: KubernetesServer;

before(async () => {
  server = await KubernetesServer.start(["control", "stranger"]);
  await server.namespace("rights");
});
after(() => server.stop());

interface Rule {
  apiGroups: string[];
  resources: string[];
  verbs: string[];
}

/** The Role of docs/kubernetes.md. */
function documented(): Rule[] {
  const docs = readFileSync(join(import.meta.dirname, "../../docs/kubernetes.md"), "utf8");
  const blocks = Array.from(docs.matchAll(/^```yaml\n([\s\S]*?)^```/gm), ([, text]) => parse(text.split(/^---$/m)[0]));
  const role = blocks.find((block) => block.kind === "Role");
  assert.ok(role !== undefined, "docs/kubernetes.md has a Role");
  return role.rules;
}

let roles = 0;

/** From now on the user "control" has these rights and no others. */
async function allow(rules: Rule[]): Promise<void> {
  // A right that no other version of the Role gives: once it counts, this version does, and the binding.
  const mark = { apiGroups: ["tests.weftmesh.dev"], resources: [`version-${++roles}`], verbs: ["get"] };
  const metadata = { name: "weft" };
  const role = { metadata, rules: [...rules, mark] };
  const { status } = await server.call("PUT", `${RBAC}/roles/weft`, role); // which makes it, too
  assert.ok(status === 200 || status === 201, `the Role: ${status}`);
  const subject = { kind: "User", name: "control", apiGroup: "rbac.authorization.k8s.io" };
  await bind("weft", subject);
  await counts(mark, "control");
}

/** The Role is somebody's. */
async function bind(name: string, subject: object): Promise<void> {
  const roleRef = { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "weft" };
  const { status } = await server.call("POST", `${RBAC}/rolebindings`, {
    metadata: { name },
    roleRef,
    subjects: [subject],
  });
  assert.ok(status === 201 || status === 409, `the RoleBinding: ${status}`);
}

/** The API server hears of Roles and their bindings by watches of its own: until then the earlier ones count. */
async function counts({ apiGroups, resources, verbs }: Rule, token: string): Promise<void> {
  const resourceAttributes = { namespace: "rights", group: apiGroups[0], resource: resources[0], verb: verbs[0] };
  await timeUntil(async () => {
    const path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    const { body } = await server.call("POST", path, { spec: { resourceAttributes } }, token);
    return body.status?.allowed === true;
  }, "the Role counts");
}

/** A file as kubectl has it. */
function kubeconfig(user: Record<string, string>): string {
  const cluster = { server: `https://${server.address}`, "certificate-authority": server.ca };
  const config = {
    "current-context": "test",
    contexts: [{ name: "test", context: { cluster: "test", user: "weft", namespace: "rights" } }],
    clusters: [{ name: "test", cluster }],
    users: [{ name: "weft", user }],
  };
  const file = server.tokenFile("test").replace("token", "kubeconfig");
  writeFileSync(file, JSON.stringify(config));
  return file;
}

const url = (user = "control") => server.url("rights", server.address, user);
const refused = (code: string, message: RegExp) => (error: Error & { code: string }) => {
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return true;
};

test("the documented Role is enough for the registry and the store", async () => {
  await allow(documented());
  const registry = await openKubernetesRegistry({ url: url(), system: "shop" });
  const other = await openKubernetesRegistry({ url: url(), system: "shop", mode: "consistent" });
  const lease = await registry.register(endpointOf("orders", 1), 60_000);
  await registry.register(endpointOf("orders", 1, { port: 9_001 }), 60_000);
  await registry.setHealth("orders-1", "unhealthy", "refused", "check");
  assert.equal((await other.query(["orders"])).endpoints[0].health, "unhealthy");
  await lease.release();
  await (await registry.register(endpointOf("orders", 1), 60_000)).release();
  assert.deepEqual((await other.query(["*"])).endpoints, []);
  await registry.close();
  await other.close();
  const store = await openKubernetesKeyValue({ url: url(), system: "shop" });
  const version = await store.put("rights/a", Buffer.from("1"), ANY);
  assert.ok(await store.put("rights/a", Buffer.from("2"), version ?? ""));
  assert.deepEqual(await store.keys("rights"), ["rights/a"]);
  assert.equal((await store.list("rights")).length, 1);
  const told = await new Promise((resolve) => store.watch("rights/a", (item) => resolve(item?.key)));
  assert.equal(told, "rights/a");
  assert.equal(await store.delete("rights/a", ANY), true);
  await store.close();
});

test("each verb that it lacks is named, with its resource", async () => {
  const without = (resource: string, verb: string): Rule[] =>
    documented().map((rule) =>
      rule.resources.includes(resource) ? { ...rule, verbs: rule.verbs.filter((one) => one !== verb) } : rule,
    );
  const lacking = (verb: string, resource: string, group: string) =>
    refused(
      "permission_denied",
      new RegExp(`the Role lacks the verb "${verb}" on "${resource}" of the API group "${group}"`),
    );
  for (const [resource, group, verb] of [
    ["endpointslices", "discovery.k8s.io", "list"],
    ["endpointslices", "discovery.k8s.io", "create"],
    ["endpointslices", "discovery.k8s.io", "update"],
    ["leases", "coordination.k8s.io", "create"],
    ["leases", "coordination.k8s.io", "list"],
  ]) {
    await allow(without(resource, verb));
    const work = async () => {
      const registry = await openKubernetesRegistry({ url: url(), system: "lacking" });
      try {
        await registry.register(endpointOf("orders", 1), 3_000);
        await registry.register(endpointOf("orders", 1, { port: 9_001 }), 3_000);
      } finally {
        await registry.close();
      }
    };
    await assert.rejects(work, lacking(verb, resource, group), `${verb} ${resource}`);
  }
  for (const verb of ["list", "create"]) {
    await allow(without("configmaps", verb));
    const work = async () => {
      const store = await openKubernetesKeyValue({ url: url(), system: "lacking" });
      await store.put(`rights/${verb}`, Buffer.from("1"), ANY).finally(() => store.close());
    };
    await assert.rejects(work, lacking(verb, "configmaps", ""), `${verb} configmaps`);
  }
});

test("nobody, somebody without rights, a certificate that is not believed, a namespace that is not there", async () => {
  const token = server.tokenFile("wrong");
  writeFileSync(token, "wrong");
  const open = (url: string) => openKubernetesRegistry({ url, system: "shop", openTimeoutMs: 3_000 });
  await assert.rejects(
    open(server.url("rights", server.address, "wrong")),
    refused("unauthenticated", /missing, wrong or has run out/),
  );
  await assert.rejects(open(url("stranger")), refused("permission_denied", /the verb "create" on "leases"/));
  const distrusted = server.url("rights").replace(/&ca=.*/, "");
  await assert.rejects(open(distrusted), refused("unavailable", /certificate is not believed .*`ca` names the file/));
  await assert.rejects(open(server.url("nowhere")), refused("failed_precondition", /kubectl create namespace nowhere/));
});

test("a token that is written anew is read again, and one that is wrong meanwhile ends nothing", async () => {
  await allow(documented());
  const token = server.tokenFile("rotated");
  writeFileSync(token, "control");
  const problems: string[] = [];
  let recovered = 0;
  const registry = await openKubernetesRegistry({
    url: server.url("rights", server.address, "rotated"),
    system: "rotated",
    onError: ({ message }) => problems.push(message),
    onRecovered: () => recovered++,
  });
  await registry.register(endpointOf("orders", 1), 60_000);
  writeFileSync(token, "stranger");
  await timeUntil(() => problems.length > 0, "the other token is used", 15_000);
  assert.match(problems[0], /"leases"/);
  assert.equal((await registry.query(["orders"])).endpoints.length, 1, "what is known stays in use");
  writeFileSync(token, "admin");
  await timeUntil(() => recovered > 0, "the good token is used", 15_000);
  await registry.register(endpointOf("orders", 2), 60_000);
  await registry.close();
  rmSync(token);
});

test("a client certificate lets in: by the url, and in a kubeconfig as kubectl has it", async () => {
  await allow(documented());
  const { cert, key } = server.clientCertificate("control");
  const byUrl = `kubernetes://${server.address}/rights?cert=${cert}&key=${key}&ca=${server.ca}`;
  const registry = await openKubernetesRegistry({ url: byUrl, system: "certified" });
  await registry.register(endpointOf("orders", 1), 3_000);
  await registry.close();
  const data = (file: string) => readFileSync(file).toString("base64");
  const file = kubeconfig({ "client-certificate-data": data(cert), "client-key-data": data(key) });
  const store = await openKubernetesKeyValue({ url: `kubernetes:///rights?kubeconfig=${file}`, system: "certified" });
  assert.ok(await store.put("rights/certified", Buffer.from("1"), ANY));
  await store.close();
  const { cert: other, key: otherKey } = server.clientCertificate("stranger");
  const url = `kubernetes://${server.address}/rights?cert=${other}&key=${otherKey}&ca=${server.ca}`;
  await assert.rejects(openKubernetesRegistry({ url, system: "certified" }), { code: "permission_denied" });
});

test("the token of a service account lets in, by a kubeconfig", async () => {
  await allow(documented());
  const accounts = "/api/v1/namespaces/rights/serviceaccounts";
  assert.equal((await server.call("POST", accounts, { metadata: { name: "weft" } })).status, 201);
  const asked = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { expirationSeconds: 600 } };
  const { body } = await server.call("POST", `${accounts}/weft/token`, asked);
  const { token } = body.status;
  writeFileSync(server.tokenFile("account"), token);
  await bind("account", { kind: "ServiceAccount", name: "weft", namespace: "rights" });
  await counts(documented()[0], token);
  const file = kubeconfig({ tokenFile: server.tokenFile("account") });
  const registry = await openKubernetesRegistry({ url: `kubernetes://?kubeconfig=${file}`, system: "account" });
  await registry.register(endpointOf("orders", 1), 3_000);
  await registry.close();
});
