import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { connect, createServer } from "node:tls";
import { createCertificate, encodePem } from "../../core/certificate.ts";
import { VirtualClock } from "../../core/clock.ts";
import type { WeftError } from "../../core/errors.ts";
import type { IdentityMaterial } from "../../core/identity.ts";
import { Authority } from "./authority.ts";

const states = ({ roots }: Authority): string[] => roots.map(({ state }) => state);

test("a rotation goes through its phases by the clock, and is begun by itself before a root expires", async () => {
  const clock = new VirtualClock();
  const events: string[] = [];
  const onEvent = (message: string) => events.push(message);
  const authority = await Authority.open({ system: "shop", folder: "", clock, leafLifetimeMs: 60_000, onEvent });
  let told = 0;
  authority.onChange(() => told++);
  const { trust: before, certificate: old } = authority.issueWithKey("orders");
  await authority.rotate();
  assert.deepEqual(states(authority), ["signing", "distributing"]);
  const both = authority.trust;
  assert.ok(both.startsWith(before) && both.length > before.length);
  await assert.rejects(authority.rotate(), (error: WeftError) => error.reason === "ROTATION_UNDER_WAY");
  clock.advance(60_000);
  assert.deepEqual(states(authority), ["retiring", "signing"]);
  const { trust, certificate } = authority.issueWithKey("orders");
  assert.equal(trust, both);
  const issuers = [before, trust.slice(before.length)].map((pem) => new X509Certificate(pem));
  assert.deepEqual(
    issuers.map((issuer) => new X509Certificate(old).verify(issuer.publicKey)),
    [true, false],
  );
  assert.deepEqual(
    issuers.map((issuer) => new X509Certificate(certificate).verify(issuer.publicKey)),
    [false, true],
  );
  assert.deepEqual(authority.holderOf(new X509Certificate(old), 60_000), { service: "orders" });
  clock.advance(60_000);
  assert.deepEqual(states(authority), ["signing"]);
  assert.equal(before + authority.trust, both);
  assert.equal(told, 3);
  assert.ok(events.some((event) => event.endsWith("dropped")));
  for (const event of events) assert.doesNotMatch(event, /PRIVATE|BEGIN/);
  const { trust: second } = authority;
  clock.advance(300 * 24 * 3_600_000);
  assert.notEqual(authority.trust, second, "replaced before it expires");
  await authority.close();
});

test("what was kept by a control plane that did not run for years is replaced at once", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "weft-authority-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const clock = new VirtualClock();
  const options = { system: "shop", folder, clock };
  await (await Authority.open(options)).close();
  clock.advance(2 * 365 * 24 * 3_600_000);
  const authority = await Authority.open(options);
  assert.deepEqual(states(authority), ["retiring", "signing"]);
  assert.ok(authority.issueWithKey("orders").notAfterMs > clock.wallMs());
  await authority.close();
});

test("a given authority signs in place of an own one: a root, and an intermediate under a root", async () => {
  const clock = new VirtualClock(Date.now());
  const make = (
    authority: boolean,
    issuer?: { certificate: Buffer; privateKey: ReturnType<typeof pair>["privateKey"] },
  ) => {
    const keys = pair();
    const nowMs = Date.now();
    const der = createCertificate(
      {
        publicKey: keys.publicKey,
        commonName: "corporate",
        organization: "corporate",
        uri: "spiffe://corporate",
        notBeforeMs: nowMs - 1_000,
        notAfterMs: nowMs + 3_600_000,
        authority,
      },
      issuer ?? keys.privateKey,
    );
    const privateKey = keys.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    return { der, key: keys.privateKey, pem: encodePem(der), privateKey };
  };
  const root = make(true);
  const middle = make(true, { certificate: root.der, privateKey: root.key });
  const open = (given: { certificate: string; privateKey: string; trust?: string }) =>
    Authority.open({ system: "shop", folder: "", clock, given });
  const direct = await open({ certificate: root.pem, privateKey: root.privateKey });
  const leaf = direct.issueWithKey("orders");
  assert.ok(new X509Certificate(leaf.certificate).checkIssued(new X509Certificate(root.pem)));
  assert.equal(leaf.trust, root.pem);
  await assert.rejects(direct.rotate(), (error: WeftError) => error.reason === "AUTHORITY_GIVEN");
  const under = await open({ certificate: middle.pem, privateKey: middle.privateKey, trust: root.pem });
  assert.ok(under.issueWithKey("orders").certificate.endsWith(middle.pem), "with its chain");
  const refused: [Parameters<typeof open>[0], RegExp][] = [
    [{ certificate: middle.pem, privateKey: middle.privateKey }, /intermediate: give the root/],
    [{ certificate: root.pem, privateKey: middle.privateKey }, /does not belong/],
    [{ certificate: root.pem, privateKey: "nonsense" }, /cannot be read/],
    [{ certificate: "", privateKey: root.privateKey }, /1 to 16 certificates/],
    [{ certificate: root.pem, privateKey: root.privateKey, trust: make(true).pem }, /does not chain/],
  ];
  for (const [given, message] of refused) await assert.rejects(open(given), message);
  const plain = make(false, { certificate: root.der, privateKey: root.key });
  await assert.rejects(
    open({ certificate: plain.pem, privateKey: plain.privateKey, trust: root.pem }),
    /may not sign others/,
  );
  await direct.close();
  await under.close();
});

function pair() {
  return generateKeyPairSync("ec", { namedCurve: "P-256" });
}

test("who trusts a root that was replaced, even twice, finds from it to the one that signs, and renews by it for a while", async () => {
  // Its last step is now, which is when OpenSSL judges.
  const clock = new VirtualClock(Date.now() - 240_000);
  const authority = await Authority.open({ system: "shop", folder: "", clock, leafLifetimeMs: 60_000 });
  const own = authority.identity("control");
  const trusts = [authority.trust];
  const { certificate: old } = authority.issueWithKey("orders");
  for (let round = 0; round < 2; round++) {
    await authority.rotate();
    clock.advance(60_000);
    clock.advance(60_000);
    trusts.push(authority.trust);
  }
  assert.deepEqual(states(authority), ["signing"]);
  assert.equal(new Set(trusts).size, 3);
  for (const [round, ca] of trusts.entries()) assert.equal(await shakes(own.current, ca), null, `trust ${round}`);
  const stranger = await Authority.open({ system: "shop", folder: "", clock });
  assert.notEqual(await shakes(own.current, stranger.trust), null);
  assert.deepEqual(authority.holderOf(new X509Certificate(old), 600_000), { service: "orders" });
  clock.advance(600_000);
  assert.ok("refusal" in authority.holderOf(new X509Certificate(old), 600_000));
  await authority.close();
  await stranger.close();
});

/** Null, or why a client that trusts `ca` alone does not believe the server. */
async function shakes({ certificate, privateKey }: IdentityMaterial, ca: string): Promise<string | null> {
  const server = createServer({ cert: certificate, key: privateKey, minVersion: "TLSv1.3" }, (socket) => {
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const options = { port, host: "127.0.0.1", ca, rejectUnauthorized: false, checkServerIdentity: () => undefined };
  const refusal = await new Promise<string | null>((resolve) => {
    const socket = connect(options, () => {
      resolve(socket.authorized ? null : String(socket.authorizationError));
      socket.end();
    });
    socket.on("error", () => {});
  });
  server.close();
  return refusal;
}
