import { createPrivateKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Counter } from "../examples/counter/gen/counter/v1/counter.ts";
import { createDirectClient } from "../src/call/direct.ts";
import { Admin } from "../src/contract/gen/weft/control/v1/control.ts";
import { Identity } from "../src/contract/gen/weft/control/v1/identity.ts";
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from "../src/control/control-plane.ts";
import { parseControlPin } from "../src/core/control-pin.ts";
import type { Endpoint } from "../src/core/endpoint.ts";
import { toWeftError } from "../src/core/errors.ts";
import { type IdentityMaterial, spiffeId } from "../src/core/identity.ts";
import { signProof } from "../src/core/identity-proof.ts";
import { encodeJoinToken } from "../src/core/join-token.ts";
import { createMemoryRegistry } from "../src/drivers/memory/memory-registry.ts";
import { type IdentityLine, openIdentity } from "../src/link/identity-line.ts";
import { identityProof, type LineProof } from "../src/link/line-proof.ts";
import { createLink } from "../src/link/link.ts";
import { call, endpointAt } from "../src/net/harness.case.ts";
import { TestAuthority, TestIdentity } from "../src/net/identity.case.ts";
import { createUpstreamPool } from "../src/net/pool.ts";
import { createPolicyRuntime } from "../src/policy/snapshot/create-runtime.ts";
import { service } from "../src/service/definition.ts";
import { createRuntime, type Runtime } from "../src/service/runtime.ts";
import { type Server, serve } from "../src/service/serve.ts";
import { craftedCertificates } from "./identity/crafted.ts";
import { goTakes } from "./identity/go-verify.ts";
import { ownAuthority } from "./identity/own-authority.ts";
import { inPlain, overTls, selfSigned, shownUntil } from "./identity/raw-peer.ts";
import { secureLine } from "./identity/secure-line.ts";
import type { Case, Suite } from "./suite.ts";

/**
 * Identities under attack and over time: a table of bad peers, each of which gets nowhere and is told of with its reason; a root that is rotated under load; an
 * authority that is down for longer than a certificate lives.
 */
export const identity: Suite = { name: "identity", run };

const OPERATOR = "operator-of-the-suite";
const SYSTEM = "shop";

async function run(): Promise<Case[]> {
  const cases: Case[] = [];
  const print = console.error;
  const log: string[] = [];
  console.error = (...words: unknown[]) => void log.push(words.join(" "));
  try {
    cases.push(...(await badPeers(log)));
    cases.push(...(await overTime(log)));
    cases.push(...(await secureLine()));
    cases.push(...goTakes());
    cases.push(...(await ownAuthority()));
  } finally {
    console.error = print;
  }
  const secrets = log.filter((line) => /PRIVATE KEY|weft1\.|operator-of-the-suite/.test(line));
  cases.push({ name: "no line of any log holds a key or a token", ok: secrets.length === 0, detail: secrets[0] });
  return cases;
}

/** A control plane, and processes that have joined by it. */
class Mesh {
  readonly plane: ControlPlane;
  readonly #closing: (() => Promise<unknown>)[] = [];

  private constructor(plane: ControlPlane) {
    this.plane = plane;
  }

  static async start(log: string[], options: Partial<ControlPlaneOptions>): Promise<Mesh> {
    const onEvent = (message: string) => void log.push(`control: ${message}`);
    const plane = await startControlPlane({
      registry: createMemoryRegistry(),
      system: SYSTEM,
      ...options,
      identity: { operatorToken: OPERATOR, onEvent, ...options.identity },
    });
    return new Mesh(plane);
  }

  token(name: string, ttlMs = 60_000, uses = 1): string {
    const id = `${name}-${Math.random()}`;
    const pins = parseControlPin(this.plane.pin)?.pins ?? [];
    return encodeJoinToken({ system: SYSTEM, service: name, id, expiresMs: Date.now() + ttlMs, uses, pins }, OPERATOR);
  }

  runtime(name: string): Runtime {
    const runtime = createRuntime({ env: {}, control: this.plane.address, service: name, joinToken: this.token(name) });
    this.#closing.push(() => runtime.close());
    return runtime;
  }

  async serve(name: string): Promise<Server> {
    const definition = service(Counter, {
      count: ({ count }) => ({ count: count + 1n }),
      async *watch({ from, limit, intervalMs }) {
        for (let sent = 0; sent < limit; sent++) {
          await pause(intervalMs);
          yield { count: from + BigInt(sent) };
        }
      },
      // Says who called.
      hello: (_request, { peer }) => ({ contentType: "text/plain", data: Buffer.from(peer.identity || "nobody") }),
    } as Parameters<typeof service<typeof Counter>>[1]);
    const server = await serve(definition, { runtime: this.runtime(name), name, quiet: true });
    this.#closing.push(() => server.stop(100));
    return server;
  }

  onClose(close: () => Promise<unknown>): void {
    this.#closing.push(close);
  }

  async close(): Promise<void> {
    for (const close of this.#closing.reverse()) await close();
    await this.plane.stop();
  }
}

const STRICT = {
  text: JSON.stringify([
    {
      apiVersion: "weftmesh.dev/v1",
      kind: "TrafficPolicy",
      metadata: { name: "strict" },
      spec: { targetRefs: [{ kind: "Service", name: "orders" }], mtls: "strict" },
    },
  ]),
  source: "suite",
  author: "suite",
  reason: "",
};

/** One attempt: what came of it for who made it ("" for nothing), and what the log, or the caller, has to say. */
interface Attempt {
  readonly who: string;
  readonly reason: RegExp;
  /** Resolves with what was reached. */
  make(): Promise<string>;
}

async function badPeers(log: string[]): Promise<Case[]> {
  const shop = new TestAuthority(SYSTEM);
  const bank = new TestAuthority("bank");
  const privateKey = shop.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  const given = { certificate: shop.trust, privateKey };
  const mesh = await Mesh.start(log, { identity: { given }, resources: STRICT });
  try {
    const orders = await mesh.serve("orders");
    const payments = await mesh.serve("payments");
    const web = mesh.runtime("web");
    const client = web.connect(Counter, { service: "orders" });
    const seen = Buffer.from((await client.hello({})).data).toString();
    const cases: Case[] = [
      {
        name: "a process of the system is let in and known by its SPIFFE id",
        ok: seen === spiffeId(SYSTEM, "web"),
        detail: seen,
      },
    ];
    const direct = createDirectClient(Identity, mesh.plane.address);
    mesh.onClose(() => direct.close());
    const issue = async (
      holder: Parameters<typeof direct.client.issue>[0]["holder"],
      proof?: Uint8Array,
    ): Promise<string> => {
      const { publicKey, privateKey: key } = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const spki = publicKey.export({ type: "spki", format: "der" });
      return (await direct.client.issue({ publicKey: spki, proof: proof ?? signProof("issue", spki, key), holder })).id;
    };
    const tls =
      (material: IdentityMaterial | null, head = "") =>
      () =>
        overTls(orders.port, material, head);
    const join = (value: string) => () => issue({ case: "joinToken", value });
    const used = mesh.token("web");
    await issue({ case: "joinToken", value: used });
    const stolen = shop.issue("orders");
    const calling = (port: number, own: TestIdentity, expected?: string) => async () => {
      const pool = createUpstreamPool({ identity: own, mutualTls: () => "strict" });
      try {
        return (
          await call(
            pool,
            { ...endpointAt(port, "h2c"), service: "orders", ...(expected && { identity: expected }) },
            "/",
          )
        ).body;
      } catch (failure) {
        log.push(`caller: ${(failure as Error).message}`);
        return "";
      } finally {
        await pool.close(0);
      }
    };
    const register = (identityOf: string) => async () => {
      const link = web.link();
      const endpoint = { ...endpointAt(9, "h2c", "orders-x"), service: "orders", identity: identityOf };
      await link?.register({ endpoint, contracts: [], descriptors: null });
      return "registered";
    };
    const stolenWithout = new TestIdentity(spiffeId(SYSTEM, "orders"), {
      ...stolen,
      privateKey: shop.issue("web").privateKey,
    });
    const registerBy = (proof: LineProof | undefined, what: Partial<Endpoint>) => async () => {
      const link = createLink({ address: mesh.plane.address, policy: createPolicyRuntime(), ...(proof && { proof }) });
      const endpoint = { ...endpointAt(9, "h2c", "hostile-x"), ...what };
      const registered = link.register({ endpoint, contracts: [], descriptors: null });
      return registered.then(() => "registered").finally(() => link.close());
    };
    const admin = createDirectClient(Admin, mesh.plane.address);
    mesh.onClose(() => admin.close());
    const known = await admin.client.listServices({ services: ["orders"] });
    const ordersId = known.services[0]?.endpoints[0]?.endpoint?.id ?? "";
    const forged = "x-weft-attempt: 1\r\nx-weft-peer: spiffe://shop/web\r\nx-weft-lane: admin\r\n";
    const attempts: Attempt[] = [
      { who: "no certificate", make: tls(null), reason: /showed no certificate/ },
      {
        who: "plain text to a strict service",
        make: () => inPlain(orders.port, ""),
        reason: /speaks plain text.*takes mutual TLS alone/,
      },
      {
        who: "plain text with forged hop headers",
        make: () => inPlain(orders.port, forged),
        reason: /speaks plain text/,
      },
      { who: "no certificate, forged hop headers", make: tls(null, forged), reason: /showed no certificate/ },
      {
        who: "an expired certificate",
        make: tls(shop.issue("web", { lifetimeMs: -1_000 })),
        reason: /for spiffe:\/\/shop\/web expired at/,
      },
      {
        who: "a process of another system",
        make: tls(bank.issue("web")),
        reason: /of another system: spiffe:\/\/bank\/web/,
      },
      {
        who: "another system's name, signed by our authority",
        make: tls(shop.issue("web", { uri: "spiffe://bank/web" })),
        reason: /of another system: spiffe:\/\/bank/,
      },
      {
        who: "our name, signed by another authority",
        make: tls(bank.issue("web", { uri: "spiffe://shop/web" })),
        reason: /spiffe:\/\/shop\/web is not signed by an authority/,
      },
      {
        who: "our name, self-signed",
        make: tls(selfSigned(SYSTEM, "spiffe://shop/web")),
        reason: /not signed by an authority/,
      },
      {
        who: "a certificate without a SPIFFE id",
        make: tls(shop.issue("web", { uri: "https://shop/web" })),
        reason: /holds no SPIFFE id/,
      },
      {
        who: "a server with another service's identity",
        make: calling(payments.port, shop.identity("web"), "spiffe://shop/orders"),
        reason: /it is spiffe:\/\/shop\/payments, expected was spiffe:\/\/shop\/orders/,
      },
      {
        who: "a server of a strict service without an identity",
        make: calling(payments.port, shop.identity("web")),
        reason: /has no identity: start its process with a join token/,
      },
      {
        who: "a caller with an expired certificate",
        make: calling(
          orders.port,
          new TestIdentity("spiffe://shop/web", shop.issue("web", { lifetimeMs: -1_000 })),
          "spiffe://shop/orders",
        ),
        reason: /INADEQUATE_SECURITY.*expired/,
      },
      {
        who: "an endpoint registered with another service's identity",
        make: register("spiffe://shop/payments"),
        reason: /FOREIGN_IDENTITY|cannot be registered as spiffe:\/\/shop\/payments/,
      },
      {
        who: "an endpoint registered with another system's identity",
        make: register("spiffe://bank/orders"),
        reason: /cannot be registered as spiffe:\/\/bank\/orders/,
      },
      ...craftedCertificates(shop).map(({ who, material, reason }) => ({ who, make: tls(material), reason })),
      {
        who: "an endpoint of a strict service, by nobody",
        make: registerBy(undefined, { service: "orders" }),
        reason: /NOT_PROVEN|orders takes mutual TLS alone/,
      },
      {
        who: "an endpoint of a strict service, by another service's process",
        make: registerBy(
          identityProof(() => shop.identity("payments")),
          { service: "orders" },
        ),
        reason: /its process is "payments"/,
      },
      {
        who: "an endpoint with an identity, by a stolen certificate",
        make: registerBy(
          identityProof(() => stolenWithout),
          { service: "orders", identity: spiffeId(SYSTEM, "orders") },
        ),
        reason: /the certificate of "orders" without its key/,
      },
      {
        who: "the id of another's endpoint",
        make: registerBy(undefined, { service: "web", id: ordersId }),
        reason: /nobody else replaces it/,
      },
      { who: "a join token that was used before", make: join(used), reason: /JOIN_TOKEN_USED/ },
      { who: "an expired join token", make: join(mesh.token("web", -1)), reason: /JOIN_TOKEN_EXPIRED/ },
      {
        who: "another system's join token",
        make: join(
          encodeJoinToken(
            { system: "bank", service: "web", id: "x", expiresMs: Date.now() + 9_000, uses: 1 },
            OPERATOR,
          ),
        ),
        reason: /of another system, "bank"/,
      },
      {
        who: "a join token made with a guessed secret",
        make: join(
          encodeJoinToken({ system: SYSTEM, service: "web", id: "x", expiresMs: Date.now() + 9_000, uses: 1 }, "guess"),
        ),
        reason: /not made by this system's operator/,
      },
      {
        who: "a join token for the control plane itself",
        make: join(mesh.token("control")),
        reason: /nobody joins as the control plane/,
      },
      {
        who: "no proof of the key",
        make: () => issue({ case: "joinToken", value: mesh.token("web") }, new Uint8Array(70)),
        reason: /BAD_PROOF/,
      },
      {
        who: "a stolen certificate without its key",
        make: () => renewal(stolen, shop.issue("web").privateKey, issue),
        reason: /without its key/,
      },
      {
        who: "a renewal of another authority's certificate",
        make: () => renewal(bank.issue("orders", { uri: "spiffe://shop/orders" }), null, issue),
        reason: /not signed by this authority/,
      },
      {
        who: "a join token asked for without the operator's",
        make: async () => (await direct.client.createJoinToken({ service: "orders" })).token,
        reason: /NOT_OPERATOR/,
      },
      {
        who: "a rotation asked for without the operator's token",
        make: async () => (await direct.client.rotateAuthority({})).system,
        reason: /NOT_OPERATOR/,
      },
    ];
    console.log(`  ${"who".padEnd(58)}reached  reason in the log`);
    for (const { who, make, reason } of attempts) {
      const from = log.length;
      const reached = await make().catch((thrown) => {
        log.push(`caller: ${toWeftError(thrown).message} (${toWeftError(thrown).reason})`);
        return "";
      });
      const told = (): string | undefined => log.slice(from).find((line) => reason.test(line));
      await until(() => told() !== undefined);
      const line = told();
      const ok = reached === "" && line !== undefined;
      console.log(
        `  ${who.padEnd(58)}${(reached === "" ? "nothing" : "SOMETHING").padEnd(9)}${(line ?? "NONE").replace(/^.*?(refused: |caller: )/, "").slice(0, 110)}`,
      );
      cases.push({ name: who, ok, detail: `reached "${reached}"; log: ${log.slice(from).join(" | ").slice(0, 300)}` });
    }
    return cases;
  } finally {
    await mesh.close();
  }
}

/** Certificates of 6 s: halves, a rotation of 12 s, and the authority away for longer than they live. */
async function overTime(log: string[]): Promise<Case[]> {
  const cases: Case[] = [];
  const dataDir = mkdtempSync(join(tmpdir(), "weft-identity-"));
  const options = { dataDir, identity: { leafLifetimeMs: LIFETIME_MS }, resources: STRICT };
  const mesh = await Mesh.start(log, options);
  let plane: ControlPlane | null = mesh.plane;
  const { port } = mesh.plane;
  try {
    const orders = await mesh.serve("orders");
    const address = mesh.plane.address;
    const problems: string[] = [];
    const open = (name: string): Promise<IdentityLine> =>
      openIdentity({ address, token: mesh.token(name), onProblem: (message) => void problems.push(message) });
    const web = await open("web");
    const endpoint = { ...endpointAt(orders.port, "h2c"), service: "orders", identity: spiffeId(SYSTEM, "orders") };
    // Each of these calls is a handshake, with whatever certificates there are at the moment.
    let made = 0;
    const failures: string[] = [];
    let running = true;
    const load = (async () => {
      while (running) {
        const pool = createUpstreamPool({ identity: web });
        await call(pool, endpoint, "/healthz").then(
          () => made++,
          (failure) => failures.push((failure as Error).message),
        );
        await pool.close(0);
        await pause(20);
      }
    })();
    const kept = createUpstreamPool({ identity: web });
    mesh.onClose(() => kept.close(0));
    const first = await call(kept, endpoint, "/healthz");
    const serial = (): string => new X509Certificate(web.current.certificate).serialNumber;
    const certificates = new Set([serial()]);
    const count = setInterval(() => certificates.add(serial()), 50);

    const operator = createDirectClient(Identity, address);
    const metadata = { authorization: `Bearer ${OPERATOR}` };
    const before = web.current.trust;
    await operator.client.rotateAuthority({}, { metadata });
    const states = async () => (await operator.client.getAuthority({})).roots.map(({ state }) => state).join(" ");
    const phases = new Set<string>();
    // The line of the identity hears of new roots by renewing here, as it would by the line to the control plane.
    const deadline = Date.now() + 3 * LIFETIME_MS;
    while (Date.now() < deadline && !(phases.size >= 3 && (await states()) === "signing")) {
      phases.add(await states());
      await pause(200);
    }
    phases.add(await states());
    await pause(LIFETIME_MS / 2);
    running = false;
    await load;
    clearInterval(count);
    const order = [...phases].join(", ");
    cases.push(
      {
        name: "root rotation under load: no call fails",
        ok: made > 30 && failures.length === 0,
        detail: `${made} made; ${failures[0]}`,
      },
      {
        name: "root rotation: distributing, then signing and the old one retiring, then dropped",
        ok: order === "signing distributing, retiring signing, signing",
        detail: order,
      },
      {
        name: "root rotation: the old root is no longer trusted in the end",
        ok: !web.current.trust.includes(before.trim()),
        detail: "the old root is there",
      },
      {
        name: "certificates are renewed at half of their life",
        ok: certificates.size >= 4 && certificates.size <= 14,
        detail: `${certificates.size}`,
      },
    );
    const last = await call(kept, endpoint, "/healthz");
    cases.push({ name: "renewals and the rotation drop no open connection", ok: last.connection === first.connection });
    await operator.close();

    // From the beginning of a certificate's life on: each is renewed when at least two fifths, and before half of it are over.
    const lastBefore = serial();
    await until(() => serial() !== lastBefore);
    const stopped = Date.now();
    problems.length = 0;
    await plane.stop();
    plane = null;
    const ends = web.current.notAfterMs;
    // The server renews at a moment of its own; nobody does from now on.
    const bothUntil = Math.min(ends, await shownUntil(orders.port, web.current));
    const fresh = async (): Promise<string> => {
      const pool = createUpstreamPool({ identity: web });
      const answer = await call(pool, endpoint, "/healthz").then(
        () => "",
        (failure) => (failure as Error).message,
      );
      await pool.close(0);
      return answer;
    };
    let failedEarly = "";
    let tried = 0;
    for (; Date.now() < bothUntil; tried++) {
      const failure = await fresh();
      const leftMs = bothUntil - Date.now();
      if (failure !== "" && leftMs > 0) failedEarly ||= `${leftMs} ms before the end: ${failure}`;
      await pause(50);
    }
    // Renewal begins at up to half of its life.
    await until(() => problems.some((line) => line.includes("calls go on until it expires")) || Date.now() >= ends);
    const warned = problems.filter((line) => line.includes("calls go on until it expires")).length;
    cases.push(
      {
        name: "the authority is down: calls go on until the certificate expires",
        ok: failedEarly === "" && tried >= 4,
        detail: failedEarly || `${tried} calls in ${Date.now() - stopped} ms`,
      },
      {
        name: "the authority is down: warnings come before the end",
        ok: warned > 0,
        detail: problems.join(" | ").slice(0, 300),
      },
    );
    await pause(ends - Date.now() + 1_500);
    const after = await fresh();
    await until(() => problems.some((line) => line.includes("EXPIRED")));
    cases.push(
      {
        name: "the authority is down: after its end no new connection is made, and the reason is told",
        ok: /expired/.test(after),
        detail: after,
      },
      {
        name: "the authority is down: its end is told loudly",
        ok: problems.some((line) => line.includes("EXPIRED")),
        detail: problems.at(-1),
      },
    );
    const onEvent = (message: string) => void log.push(`control: ${message}`);
    plane = await startControlPlane({
      registry: createMemoryRegistry(),
      system: SYSTEM,
      ...options,
      port,
      identity: { ...options.identity, operatorToken: OPERATOR, onEvent },
    });
    let recovered = "";
    for (let i = 0; i < 100; i++) {
      recovered = await fresh();
      if (recovered === "") break;
      await pause(100);
    }
    cases.push({ name: "the authority is back: calls go on by themselves", ok: recovered === "", detail: recovered });
    await web.close();
    return cases;
  } finally {
    await mesh.close().catch(() => {});
    await plane?.stop().catch(() => {});
    rmSync(dataDir, { recursive: true, force: true });
  }
}

const LIFETIME_MS = 6_000;

async function renewal(
  material: IdentityMaterial,
  otherKey: string | null,
  issue: (holder: { case: "renewal"; value: { certificate: string; proof: Uint8Array } }) => Promise<string>,
): Promise<string> {
  const proof = signProof("renew", new Uint8Array(8), createPrivateKey(otherKey ?? material.privateKey));
  return issue({ case: "renewal", value: { certificate: material.certificate, proof } });
}

async function until(condition: () => boolean): Promise<void> {
  for (const end = Date.now() + 10_000; Date.now() < end && !condition(); ) await pause(10);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}
