import assert from "node:assert/strict";
import { connect, createServer, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import { createDirectClient } from "../../src/call/direct.ts";
import { Admin } from "../../src/contract/gen/weft/control/v1/control.ts";
import { Identity } from "../../src/contract/gen/weft/control/v1/identity.ts";
import { type ControlPlaneOptions, startControlPlane } from "../../src/control/control-plane.ts";
import { parseControlPin } from "../../src/core/control-pin.ts";
import { toWeftError } from "../../src/core/errors.ts";
import { encodeJoinToken, readJoinToken } from "../../src/core/join-token.ts";
import { createMemoryRegistry } from "../../src/drivers/memory/memory-registry.ts";
import { ControlSecurity } from "../../src/link/control-security.ts";
import { openIdentity } from "../../src/link/identity-line.ts";
import { createLink } from "../../src/link/link.ts";
import { createPolicyRuntime } from "../../src/policy/snapshot/create-runtime.ts";
import { eventually } from "./world.ts";

const OPERATOR = "operator-secret";
const metadata = { authorization: `Bearer ${OPERATOR}` };

async function plane(options: Partial<ControlPlaneOptions> = {}) {
  const events: string[] = [];
  const control = await startControlPlane({
    registry: createMemoryRegistry(),
    system: "shop",
    ...options,
    identity: { operatorToken: OPERATOR, onEvent: (message) => events.push(message), ...options.identity },
  });
  const port = control.port;
  const direct = createDirectClient(Identity, control.address);
  const token = async (service: string): Promise<string> =>
    (await direct.client.createJoinToken({ service }, { metadata })).token;
  const stop = async () => {
    await direct.close();
    await control.stop();
  };
  return { control, port, client: direct.client, token, events, stop };
}

/** Stands between a process and its control plane, and keeps all that passes. */
async function tap(port: number): Promise<{ address: string; bytes(): string; stop(): void }> {
  const chunks: Buffer[] = [];
  const open = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    for (const [from, to] of [
      [near, far],
      [far, near],
    ]) {
      open.add(from);
      from.on("error", () => to.destroy());
      from.on("close", () => to.destroy());
      from.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        to.write(chunk);
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port: at } = server.address() as { port: number };
  return {
    address: `127.0.0.1:${at}`,
    bytes: () => Buffer.concat(chunks).toString("latin1"),
    stop: () => {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

test("a token says whom to believe, and a process joins, attaches and renews over TLS by it: nothing of it passes in the clear", async () => {
  const { control, port, token, stop } = await plane();
  const between = await tap(port);
  const text = await token("orders");
  assert.deepEqual(readJoinToken(text)?.pins, parseControlPin(control.pin)?.pins);
  const line = await openIdentity({ address: between.address, token: text });
  assert.equal(line.id, "spiffe://shop/orders");
  const link = createLink({
    address: between.address,
    policy: createPolicyRuntime(),
    process: "orders-that-nobody-sees",
    role: "service",
    service: "orders",
    control: line.control,
  });
  await link.subscribe("somebody", 3_000);
  const endpoint = {
    id: "orders-1",
    service: "orders",
    host: "127.0.0.1",
    port: 9,
    version: "",
    zone: "",
    weight: 1,
    protocol: "h2c" as const,
    metadata: {},
  };
  const registration = { endpoint: { ...endpoint, identity: line.id }, contracts: [], descriptors: null };
  await link.register(registration);
  const foreign = { ...endpoint, id: "web-1", service: "web", identity: "spiffe://shop/web" };
  await assert.rejects(link.register({ ...registration, endpoint: foreign }), { reason: "NOT_PROVEN" });
  const seen = between.bytes();
  assert.ok(seen.length > 1_000);
  for (const secret of [text, text.split(".")[1].slice(0, 60), "orders-that-nobody-sees", "PRI * HTTP"])
    assert.ok(!seen.includes(secret), secret);
  await link.close();
  await line.close();
  between.stop();
  await stop();
});

test("who stands in the middle with another authority, or speaks plain text, is told nothing", async () => {
  const { token, stop } = await plane();
  const other = await plane();
  const text = await token("orders");
  const between = await tap(other.port);
  await assert.rejects(openIdentity({ address: between.address, token: text }), { reason: "CONTROL_NOT_PROVEN" });
  const seen = between.bytes();
  assert.ok(seen.length > 0 && !seen.includes(text.split(".")[2]));
  between.stop();
  // One that answers in plain text, as an older control plane would.
  const got: Buffer[] = [];
  const plain = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      got.push(chunk);
      socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
  });
  await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
  const problems: string[] = [];
  const { port } = plain.address() as { port: number };
  const pin = readJoinToken(text);
  assert.ok(pin !== null);
  const control = new ControlSecurity({ address: `127.0.0.1:${port}`, pin });
  const link = createLink({
    address: `127.0.0.1:${port}`,
    policy: createPolicyRuntime(),
    control,
    onError: ({ message }) => problems.push(message),
  });
  await eventually(() => problems.some((line) => line.includes("does not speak TLS")), "the reason");
  await link.close();
  assert.ok(!Buffer.concat(got).includes("PRI * HTTP"));
  plain.close();
  await other.stop();
  await stop();
});

test("what a process tells is taken as of the service that its connection proves, whatever it says to be", async () => {
  const { control, token, stop } = await plane();
  const line = await openIdentity({ address: control.address, token: await token("orders") });
  const link = createLink({
    address: control.address,
    policy: createPolicyRuntime(),
    process: "gateway",
    role: "gateway",
    service: "payments",
    control: line.control,
  });
  await link.subscribe("somebody", 3_000);
  const admin = createDirectClient(Admin, control.address);
  const { planes } = await admin.client.getTopology({});
  assert.deepEqual(
    planes.map(({ service, kind }) => [service, kind]),
    [["orders", "service"]],
  );
  await admin.close();
  await link.close();
  await line.close();
  await stop();
});

test("one of the own system that is not the control plane is not taken for it", async () => {
  const { control, token, stop } = await plane();
  const web = await openIdentity({ address: control.address, token: await token("web") });
  // It shows the true root behind its own certificate, as the control plane does.
  const { certificate, privateKey: key, trust } = web.current;
  const impostor = createTlsServer({ cert: certificate + trust, key, ALPNProtocols: ["h2"] }, (socket) => {
    socket.on("error", () => {});
    socket.on("data", (chunk) => got.push(chunk));
  });
  const got: Buffer[] = [];
  await new Promise<void>((resolve) => impostor.listen(0, "127.0.0.1", resolve));
  const { port } = impostor.address() as { port: number };
  const pin = parseControlPin(control.pin);
  assert.ok(pin !== null);
  const security = new ControlSecurity({ address: `127.0.0.1:${port}`, pin });
  await security.prepare();
  const admin = createDirectClient(Admin, `127.0.0.1:${port}`, security.direct(true));
  await assert.rejects(admin.client.getStatus({}), /it is spiffe:\/\/shop\/web, expected was spiffe:\/\/shop\/control/);
  assert.equal(Buffer.concat(got).length, 0);
  await admin.close();
  impostor.close();
  await web.close();
  await stop();
});

test("a token without digests is not shown to another machine", async () => {
  const claims = { system: "shop", service: "orders", id: "x", expiresMs: Date.now() + 60_000, uses: 1 };
  const text = encodeJoinToken(claims, OPERATOR);
  await assert.rejects(openIdentity({ address: "192.0.2.200:7070", token: text }), (thrown) => {
    const { reason, message } = toWeftError(thrown);
    assert.equal(reason, "BAD_JOIN_TOKEN");
    assert.ok(!message.includes(text.split(".")[2]));
    return true;
  });
});

const outside = Object.values(networkInterfaces())
  .flat()
  .find((each) => each !== undefined && !each.internal && each.family === "IPv4")?.address;

test("from another address than this machine's own the control plane takes TLS alone, and says so", {
  skip: outside === undefined,
}, async () => {
  for (const allowed of [false, true]) {
    const { control, token, client, stop, events } = await plane({ host: "0.0.0.0", plain: allowed });
    const address = `${outside}:${control.port}`;
    const admin = createDirectClient(Admin, address);
    const identity = createDirectClient(Identity, address);
    const reasonOf = (work: Promise<unknown>) =>
      work.then(
        () => "answered",
        (thrown) => toWeftError(thrown).reason,
      );
    assert.equal(await reasonOf(admin.client.getStatus({})), allowed ? "NO_ACCESS" : "PLAIN_TEXT_REFUSED");
    assert.equal(
      await reasonOf(identity.client.createJoinToken({ service: "web" }, { metadata })),
      "PLAIN_TEXT_REFUSED",
    );
    assert.equal(await reasonOf(admin.client.getStatus({}, { metadata })), "PLAIN_TEXT_REFUSED");
    assert.ok(events.some((event) => event.includes("plain text")));
    const pin = parseControlPin(control.pin);
    assert.ok(pin !== null);
    const secure = new ControlSecurity({ address, pin });
    await secure.prepare();
    const over = createDirectClient(Admin, address, secure.direct(true));
    assert.equal(await reasonOf(over.client.getStatus({})), "NO_ACCESS");
    assert.equal(await reasonOf(over.client.getStatus({}, { metadata })), "answered");
    const line = await openIdentity({ address, token: await token("web") });
    assert.equal(line.service, "web");
    assert.equal(await reasonOf(client.getAuthority({})), "answered", "on the machine itself");
    await line.close();
    for (const each of [admin, identity, over]) await each.close();
    await stop();
  }
});
