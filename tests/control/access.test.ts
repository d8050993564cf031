import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import test from "node:test";
import type { DescService } from "@bufbuild/protobuf";
import { createDirectClient } from "../../src/call/direct.ts";
import { Access, AccessRole } from "../../src/contract/gen/weft/control/v1/access.ts";
import { Admin } from "../../src/contract/gen/weft/control/v1/control.ts";
import { Endpoints } from "../../src/contract/gen/weft/control/v1/endpoints.ts";
import { Identity } from "../../src/contract/gen/weft/control/v1/identity.ts";
import { isChange } from "../../src/control/access/audited.ts";
import { isAccessRole, mayDo, roleOfMethod } from "../../src/control/access/method-roles.ts";
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from "../../src/control/control-plane.ts";
import { parseControlPin } from "../../src/core/control-pin.ts";
import { toWeftError } from "../../src/core/errors.ts";
import { createMemoryRegistry } from "../../src/drivers/memory/memory-registry.ts";
import { ControlSecurity } from "../../src/link/control-security.ts";
import { openIdentity } from "../../src/link/identity-line.ts";

const OPERATOR = "the operator's secret of this test";
const operator = { metadata: { authorization: `Bearer ${OPERATOR}` } };
const bearer = (token: string) => ({ metadata: { authorization: `Bearer ${token}` } });
const ROLES = { reader: AccessRole.READER, publisher: AccessRole.PUBLISHER, operator: AccessRole.OPERATOR } as const;

async function start(options: Partial<ControlPlaneOptions> = {}): Promise<ControlPlane> {
  return await startControlPlane({
    registry: createMemoryRegistry(),
    system: "shop",
    publishers: "operator",
    identity: { operatorToken: OPERATOR },
    ...options,
  });
}

/** "ok", or the reason why not. What a request lacks is another matter. */
const reasonOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "ok",
    (thrown) => toWeftError(thrown).reason || "ok",
  );
const ACCESS_REASONS = new Set(["NO_ACCESS", "NOT_OPERATOR", "NOT_PERMITTED", "PLAIN_TEXT_REFUSED"]);

/** Every service of weft's own that a control plane could answer. */
async function allServices(): Promise<DescService[]> {
  const folder = join(import.meta.dirname, "../../src/contract/gen/weft/control/v1");
  const modules = await Promise.all(readdirSync(folder).map((file) => import(join(folder, file))));
  const isService = (value: unknown): value is DescService => (value as { kind?: unknown } | null)?.kind === "service";
  return modules.flatMap((module) => Object.values(module as Record<string, unknown>).filter(isService));
}

test("every method has a role, and those alone may ask it who have that one or more", async () => {
  const plane = await start();
  const access = createDirectClient(Access, plane.address);
  const tokens: Record<string, string> = { operator: OPERATOR };
  for (const role of ["reader", "publisher", "operator"] as const)
    tokens[`made ${role}`] = (await access.client.createAdminToken({ name: role, role: ROLES[role] }, operator)).token;
  let asked = 0;
  const services = await allServices();
  assert.ok(services.length >= 7);
  for (const desc of services) {
    const direct = createDirectClient(desc, plane.address);
    for (const method of desc.methods) {
      const role = roleOfMethod(method);
      assert.notEqual(role, null, `${method.parent.typeName}/${method.name} is answered to nobody: give it a role`);
      if (method.methodKind !== "unary" || role === "process") continue;
      const call = (direct.client as never as Record<string, (request: object, options: object) => Promise<unknown>>)[
        method.localName
      ];
      for (const [who, token] of [
        ["nobody", ""],
        ["a stranger", "weft-admin-000000000000.x"],
        ...Object.entries(tokens),
      ]) {
        const has =
          who === "operator" ? "operator" : who.startsWith("made ") ? (who.slice(5) as keyof typeof ROLES) : null;
        const free: boolean = role === "reader" || role === "anyone"; // on the machine itself
        const may: boolean = free || (isAccessRole(role) && mayDo(has, role));
        const reason = await reasonOf(call({}, token === "" ? {} : bearer(token)));
        assert.equal(!ACCESS_REASONS.has(reason), may, `${who}: ${method.name} answers ${reason}`);
        asked++;
      }
    }
    await direct.close();
  }
  assert.ok(asked > 100);
  await access.close();
  await plane.stop();
});

test("a token holds until it is revoked or expires, and what is kept of it is no use to anybody", async () => {
  const plane = await start();
  const { client, close } = createDirectClient(Access, plane.address);
  const admin = createDirectClient(Admin, plane.address);
  const { token, made } = await client.createAdminToken(
    { name: "ci", role: AccessRole.PUBLISHER, ttlSeconds: 60 },
    operator,
  );
  const publish = (token: string) => reasonOf(admin.client.publishRevision({ resources: "[]" }, bearer(token)));
  assert.equal(await publish(token), "ok");
  assert.equal(await publish(`${token.slice(0, -1)}_`), "NOT_OPERATOR");
  const { tokens } = await client.listAdminTokens({}, operator);
  assert.deepEqual(
    tokens.map(({ id, name, role }) => ({ id, name, role })),
    [{ id: made?.id, name: "ci", role: AccessRole.PUBLISHER }],
  );
  assert.equal(
    await reasonOf(client.createAdminToken({ name: "", role: AccessRole.READER }, operator)),
    "BAD_TOKEN_REQUEST",
  );
  assert.equal(await reasonOf(client.createAdminToken({ name: "x" }, operator)), "BAD_ROLE");
  await client.revokeAdminToken({ id: made?.id ?? "" }, operator);
  assert.equal(await publish(token), "NOT_OPERATOR");
  assert.equal(await reasonOf(client.revokeAdminToken({ id: made?.id ?? "" }, operator)), "UNKNOWN_TOKEN");
  await admin.close();
  await close();
  await plane.stop();
});

test("a service of the system may what it was granted, by its certificate", async () => {
  const plane = await start();
  const access = createDirectClient(Access, plane.address);
  const identities = createDirectClient(Identity, plane.address);
  const { token } = await identities.client.createJoinToken({ service: "deployer" }, operator);
  const line = await openIdentity({ address: plane.address, token });
  const admin = createDirectClient(Admin, plane.address, line.control?.direct(true));
  const publish = () => reasonOf(admin.client.publishRevision({ resources: "[]" }));
  assert.equal(await publish(), "NOT_OPERATOR");
  await access.client.grantRole({ service: "deployer", role: AccessRole.PUBLISHER }, operator);
  assert.equal(await publish(), "ok");
  assert.equal((await access.client.listGrants({}, operator)).grants[0].service, "deployer");
  await access.client.grantRole({ service: "deployer", role: AccessRole.READER }, operator);
  assert.equal(await publish(), "NOT_PERMITTED");
  assert.equal(
    await reasonOf(access.client.grantRole({ service: "control", role: AccessRole.READER }, operator)),
    "RESERVED_SERVICE",
  );
  await line.close();
  for (const each of [access, identities, admin]) await each.close();
  await plane.stop();
});

const outside = Object.values(networkInterfaces())
  .flat()
  .find((each) => each !== undefined && !each.internal && each.family === "IPv4")?.address;

test("from another machine reading, too, needs a token", { skip: outside === undefined }, async () => {
  const plane = await start({ host: "0.0.0.0", publishers: "anyone" });
  const address = `${outside}:${plane.port}`;
  const pin = parseControlPin(plane.pin);
  assert.ok(pin !== null);
  const secure = new ControlSecurity({ address, pin });
  await secure.prepare();
  const there = createDirectClient(Admin, address, secure.direct(true));
  const here = createDirectClient(Admin, `127.0.0.1:${plane.port}`);
  const access = createDirectClient(Access, `127.0.0.1:${plane.port}`);
  const { token } = await access.client.createAdminToken({ name: "reader", role: AccessRole.READER }, operator);
  assert.equal(await reasonOf(there.client.getStatus({})), "NO_ACCESS");
  assert.equal(await reasonOf(there.client.getStatus({}, bearer(token))), "ok");
  assert.equal(await reasonOf(there.client.publishRevision({ resources: "[]" })), "NOT_OPERATOR");
  assert.equal(
    await reasonOf(here.client.publishRevision({ resources: "[]" })),
    "ok",
    "where anyone may, on the machine itself",
  );
  for (const each of [there, here, access]) await each.close();
  await plane.stop();
});

test("every change that was made or refused is written down: who, what, and what came of it", async () => {
  const plane = await start();
  const { client, close } = createDirectClient(Access, plane.address);
  const admin = createDirectClient(Admin, plane.address);
  const { token } = await client.createAdminToken({ name: "ci", role: AccessRole.PUBLISHER }, operator);
  const resources = JSON.stringify([
    {
      apiVersion: "weftmesh.dev/v1",
      kind: "TrafficPolicy",
      metadata: { name: "p" },
      spec: { targetRefs: [{ kind: "Service", name: "s" }], timeout: "1s" },
    },
  ]);
  await admin.client.publishRevision({ resources, author: "ada", reason: "slower" }, bearer(token));
  await admin.client.publishRevision({ resources, validateOnly: true }, bearer(token));
  for (let n = 0; n < 20; n++) await reasonOf(admin.client.publishRevision({ resources }));
  assert.equal(await reasonOf(admin.client.publishRevision({ resources: "{" }, bearer(token))), "INVALID_YAML");
  await admin.client.getStatus({});
  const { entries } = await client.listAudit({}, operator);
  const seen = entries.map(({ who, action, revision, outcome, about }) => ({
    who: who.replace(/\(.*\)/, "(...)"),
    action,
    revision: Number(revision),
    outcome,
    about,
  }));
  assert.deepEqual(seen, [
    {
      who: "operator",
      action: "Access/CreateAdminToken",
      revision: 0,
      outcome: "done",
      about: "name ci, role publisher",
    },
    {
      who: "token ci (...)",
      action: "Admin/PublishRevision",
      revision: 1,
      outcome: "done",
      about: "author ada, reason slower",
    },
    { who: "anyone", action: "Admin/PublishRevision", revision: 0, outcome: "unauthenticated NOT_OPERATOR", about: "" },
    {
      who: "token ci (...)",
      action: "Admin/PublishRevision",
      revision: 0,
      outcome: "invalid_argument INVALID_YAML",
      about: "",
    },
  ]);
  assert.match(entries[0].address, /^127\.0\.0\.1:\d+$/);
  assert.doesNotMatch(JSON.stringify(seen), new RegExp(`${token.slice(25)}|${OPERATOR}`));
  await admin.close();
  await close();
  await plane.stop();
});

test("no change is without an entry, in whatever way it is asked for", async (t) => {
  const plane = await start({ consul: { port: 0 }, health: { defaults: { kind: "ttl" } } });
  const direct = <S extends DescService>(desc: S) => {
    const made = createDirectClient(desc, plane.address);
    t.after(() => made.close());
    return made.client;
  };
  t.after(() => plane.stop());
  const access = direct(Access);
  const entries = async () => (await access.listAudit({ limit: 1_000 }, operator)).entries;
  // What is asked for wrongly: of each method that is no question.
  const questions: string[] = [];
  const asked = new Set<string>();
  for (const desc of await allServices()) {
    const client = direct(desc);
    for (const method of desc.methods) {
      if (!isAccessRole(roleOfMethod(method)) || method.methodKind !== "unary") continue;
      const action = `${desc.name}/${method.name}`;
      if (!isChange(method)) {
        questions.push(method.name);
        continue;
      }
      const call = (client as never as Record<string, (request: object, options: object) => Promise<unknown>>)[
        method.localName
      ];
      await reasonOf(call({}, operator));
      asked.add(action);
    }
  }
  assert.ok(
    questions.every((name) => /^(?:Get|List|Explain)/.test(name)),
    questions.join(),
  );
  const written = async (wanted: ReadonlySet<string>, outcome?: string) => {
    for (const end = performance.now() + 10_000; ; ) {
      const seen = new Set(
        (await entries()).flatMap((one) => (outcome === undefined || one.outcome === outcome ? [one.action] : [])),
      );
      const missing = [...wanted].filter((action) => !seen.has(action));
      if (missing.length === 0) return;
      assert.ok(performance.now() < end, `no entry of ${missing.join(", ")}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  assert.ok(asked.size >= 12, [...asked].join());
  await written(asked);

  // And what is done.
  const admin = direct(Admin);
  const endpoints = direct(Endpoints);
  const identities = direct(Identity);
  const policy = (timeout: string) =>
    JSON.stringify([
      {
        apiVersion: "weftmesh.dev/v1",
        kind: "TrafficPolicy",
        metadata: { name: "p" },
        spec: { targetRefs: [{ kind: "Service", name: "s" }], timeout },
      },
    ]);
  const endpoint = { id: "a-1", service: "a", host: "10.0.0.1", port: 80, protocol: 1 as const };
  const set = { namespace: "a", change: { case: "set" as const, value: { key: "limit", json: "5" } } };
  const first = await admin.publishRevision({ resources: policy("1s") }, operator);
  await admin.publishRevision({ resources: policy("2s") }, operator);
  await admin.publishSettings({ changes: [set] }, operator);
  await admin.rollbackRevision({ revision: first.revision }, operator);
  await admin.tagRevision({ revision: 1n, name: "good" }, operator);
  await endpoints.registerEndpoint({ endpoint }, operator);
  await endpoints.setEndpointHealth({ id: "a-1", health: 2 }, operator);
  await endpoints.deregisterEndpoint({ id: "a-1" }, operator);
  await identities.createJoinToken({ service: "a" }, operator);
  const { made } = await access.createAdminToken({ name: "x", role: AccessRole.READER }, operator);
  await access.revokeAdminToken({ id: made?.id ?? "" }, operator);
  await access.grantRole({ service: "a", role: AccessRole.READER }, operator);
  await written(asked, "done");
  // Also by REST, and by Consul's API.
  const before = (await entries()).length;
  const rest = await fetch(`http://${plane.address}/v1/endpoints`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${OPERATOR}` },
    body: JSON.stringify({ endpoint: { id: "a-2", service: "a", host: "10.0.0.1", port: 81 } }),
  });
  assert.equal(rest.status, 200, await rest.text());
  assert.equal((await entries()).length, before + 1);
  const consul = async (path: string, body?: object) => {
    const answer = await fetch(`http://127.0.0.1:${plane.consul?.port}/v1/${path}`, {
      method: "PUT",
      headers: { "x-consul-token": OPERATOR },
      ...(body && { body: JSON.stringify(body) }),
    });
    assert.equal(answer.status, 200, `${path}: ${await answer.text()}`);
  };
  await consul("agent/service/register", { ID: "c-1", Name: "c", Address: "10.0.0.1", Port: 80 });
  await consul("agent/check/register", { ID: "alive", Name: "alive", ServiceID: "c-1", TTL: "30s" });
  await consul("agent/service/maintenance/c-1?enable=true");
  await consul("agent/check/deregister/alive");
  await consul("agent/service/deregister/c-1");
  await consul("catalog/register", { Node: "n", Address: "10.0.0.2", Service: { ID: "d-1", Service: "d", Port: 80 } });
  await consul("catalog/deregister", { Node: "n", ServiceID: "d-1" });
  await written(
    new Set(
      ["agent/service/register", "agent/check/register", "agent/service/maintenance", "agent/check/deregister"]
        .concat(["agent/service/deregister", "catalog/register", "catalog/deregister"])
        .map((path) => `Consul/${path}`),
    ),
    "done",
  );
});
