import { connect, createServer, type Socket } from "node:net";
import { createDirectClient } from "../../src/call/direct.ts";
import { Identity } from "../../src/contract/gen/weft/control/v1/identity.ts";
import { startControlPlane } from "../../src/control/control-plane.ts";
import { toWeftError } from "../../src/core/errors.ts";
import { createMemoryRegistry } from "../../src/drivers/memory/memory-registry.ts";
import { openIdentity } from "../../src/link/identity-line.ts";
import { createLink } from "../../src/link/link.ts";
import { createPolicyRuntime } from "../../src/policy/snapshot/create-runtime.ts";
import { call, Mesh } from "../envoy/mesh.ts";
import { freePort } from "../free-port.ts";
import type { Case } from "../suite.ts";

const LIFETIME_MS = 2_000;

/**
 * The line to the control plane, with somebody on it: who listens in, who answers in its place, and who cuts it for as long as a root is replaced. With processes of
 * weft's and a stock Envoy.
 */
export async function secureLine(): Promise<Case[]> {
  const cases: Case[] = [];
  await using mesh = await Mesh.start({ leafLifetimeMs: LIFETIME_MS });
  const wire = await Wire.open(mesh.control.port);
  const other = await startControlPlane({ registry: createMemoryRegistry(), system: "shop" });
  const closing: (() => Promise<unknown>)[] = [];
  const operator = createDirectClient(Identity, mesh.control.address);
  try {
    const token = mesh.token("orders", "once", 1);
    const tokenForLater = mesh.token("orders", "later", 1);
    const line = await openIdentity({ address: wire.address, token });
    const problems: string[] = [];
    const link = createLink({
      address: wire.address,
      policy: createPolicyRuntime(),
      role: "service",
      service: "orders",
      control: line.control,
      backOff: { baseMs: 50, maxMs: 200 },
      onTrust: (pem) => line.trust(pem),
      onError: ({ message }) => problems.push(message),
    });
    closing.push(() => link.close().then(() => line.close()));
    await link.subscribe("payments");
    const app = await mesh.application();
    const listen = await freePort();
    const envoy = await mesh.envoy("payments", { listen, app, control: wire.port });
    const connected = async () => {
      const { text } = await call({ port: envoy.admin, path: "/stats?filter=control_plane.connected_state" });
      return text.includes("connected_state: 1");
    };
    const certificate = async () => (await call({ port: envoy.admin, path: "/certs" })).text;
    await waitFor(async () => (await certificate()).includes("spiffe://shop/payments"));
    const shown = await certificate();
    cases.push({
      name: "the line: a stock Envoy takes everything over TLS, its certificate included",
      ok: (await connected()) && shown.includes("spiffe://shop/payments"),
      detail: shown.slice(0, 200),
    });
    const heard = wire.bytes();
    const found = [
      token,
      token.split(".")[1].slice(0, 80),
      mesh.token("payments"),
      "PRIVATE KEY",
      "CERTIFICATE",
      "PRI * HTTP/2.0",
    ];
    const told = found.filter((secret) => heard.includes(secret));
    cases.push({
      name: "the line: who listens in sees neither token, key nor certificate, of weft's processes nor of Envoy's",
      ok: heard.length > 10_000 && told.length === 0,
      detail: `${heard.length} bytes; ${told.join(", ").slice(0, 100)}`,
    });

    wire.leadTo(other.port);
    const before = wire.bytes().length;
    const refused = await openIdentity({ address: wire.address, token: mesh.token("web") }).then(
      () => "joined",
      (thrown) => toWeftError(thrown).reason,
    );
    const between = wire.bytes().slice(before);
    cases.push({
      name: "the line: who answers in the control plane's place with another authority's certificate gets nothing",
      ok: refused === "CONTROL_NOT_PROVEN" && between.length > 0 && !between.includes("PRI *"),
      detail: refused,
    });

    // Away for the whole of a rotation: nothing passes, and what was open is cut.
    wire.leadTo(0);
    const trustBefore = (await operator.client.getAuthority({})).trust;
    await operator.client.rotateAuthority({}, { metadata: { authorization: `Bearer ${Mesh.operator}` } });
    const states = async () => (await operator.client.getAuthority({})).roots.map(({ state }) => state).join(" ");
    await waitFor(
      async () =>
        (await states()) === "signing" && !(await operator.client.getAuthority({})).trust.includes(trustBefore),
      4 * LIFETIME_MS,
    );
    const rotated = await states();
    const wasAway = !link.connected;
    problems.length = 0;
    wire.leadTo(mesh.control.port);
    const { trust } = await operator.client.getAuthority({});
    const back = () => link.connected && line.current.trust === trust && line.current.notAfterMs > Date.now();
    const isBack = await waitFor(async () => back());
    cases.push({
      name: "the line: a process that was away while the root was replaced comes back by itself, and trusts the new one",
      ok: rotated === "signing" && wasAway && isBack,
      detail: `${rotated}; away ${wasAway}; connected ${link.connected}; ${problems.at(-1)}`,
    });
    const late = await openIdentity({ address: wire.address, token: tokenForLater }).then(
      (again) => again.close().then(() => again.id),
      (thrown) => toWeftError(thrown).message,
    );
    cases.push({
      name: "the line: a token from before the root was replaced still leads to the control plane",
      ok: late === "spiffe://shop/orders",
      detail: late,
    });
    const came = await waitFor(connected, 15_000);
    cases.push({
      name: "the line: a stock Envoy that was away meanwhile comes back by the bootstrap it has",
      ok: came,
    });
    return cases;
  } finally {
    for (const close of closing) await close();
    await operator.close();
    await other.stop();
    wire.close();
  }
}

/** A stretch of the way that somebody else has: hears all that passes, and decides where it leads. */
class Wire {
  readonly port: number;
  readonly #chunks: Buffer[] = [];
  readonly #open = new Set<Socket>();
  readonly #server: ReturnType<typeof createServer>;
  #to: number;

  private constructor(server: ReturnType<typeof createServer>, port: number, to: number) {
    this.#server = server;
    this.port = port;
    this.#to = to;
  }

  static async open(to: number): Promise<Wire> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const wire = new Wire(server, (server.address() as { port: number }).port, to);
    server.on("connection", (near) => wire.#carry(near));
    return wire;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  bytes(): string {
    return Buffer.concat(this.#chunks).toString("latin1");
  }

  /** 0: nowhere. What is open is cut. */
  leadTo(port: number): void {
    this.#to = port;
    for (const socket of this.#open) socket.destroy();
  }

  close(): void {
    this.#server.close();
    this.leadTo(0);
  }

  #carry(near: Socket): void {
    near.on("error", () => {});
    if (this.#to === 0) return void near.destroy();
    const far = connect(this.#to, "127.0.0.1");
    for (const [from, to] of [
      [near, far],
      [far, near],
    ]) {
      this.#open.add(from);
      from.on("error", () => to.destroy());
      from.on("close", () => {
        this.#open.delete(from);
        to.destroy();
      });
      from.on("data", (chunk: Buffer) => {
        this.#chunks.push(chunk);
        to.write(chunk);
      });
    }
  }
}

/** Whether it came to hold. */
async function waitFor(holds: () => Promise<boolean>, withinMs = 10_000): Promise<boolean> {
  for (const end = Date.now() + withinMs; ; await new Promise((resolve) => setTimeout(resolve, 100))) {
    if (await holds().catch(() => false)) return true;
    if (Date.now() > end) return false;
  }
}
