import { createDirectClient } from "../../src/call/direct.ts";
import { Identity } from "../../src/contract/gen/weft/control/v1/identity.ts";
import { spiffeId } from "../../src/core/identity.ts";
import { type IdentityLine, openIdentity } from "../../src/link/identity-line.ts";
import { call as callBy, endpointAt } from "../../src/net/harness.case.ts";
import { createUpstreamPool } from "../../src/net/pool.ts";
import { freePort } from "../free-port.ts";
import { shownUntil } from "../identity/raw-peer.ts";
import { pause } from "../mesh/commands.ts";
import { call, Mesh, until } from "./mesh.ts";

const LIFETIME_MS = 6_000;

/**
 * A root that is replaced under load, and an authority that is away for longer than certificates live, for weft's own sidecar and a stock Envoy that call each other: by connections
 * that stay, and by a handshake for every call.
 */
export async function rotationCases(
  check: (name: string, what: () => Promise<unknown>) => Promise<void>,
): Promise<void> {
  await using mesh = await Mesh.start({ leafLifetimeMs: LIFETIME_MS });
  await mesh.publish(
    ["ledger", "shelf"]
      .map(
        (name) => `apiVersion: weftmesh.dev/v1
kind: TrafficPolicy
metadata: { name: ${name} }
spec: { targetRefs: [{ kind: Service, name: ${name} }], mtls: strict }
`,
      )
      .join("---\n"),
  );
  const app = await mesh.application();
  const [envoyIn, envoyOut, weftIn, weftOut] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const envoy = await mesh.envoy("ledger", { listen: envoyIn, app, outbound: envoyOut });
  const weft = await mesh.sidecar("shelf", { listen: weftIn, app, outbound: weftOut });
  const operator = createDirectClient(Identity, mesh.control.address);
  const line = await openIdentity({ address: mesh.control.address, token: mesh.token("web", "w".repeat(22)) });
  const ways: readonly Way[] = [
    { name: "Envoy to weft's sidecar", ask: () => asked(envoyOut, "shelf.weft") },
    { name: "weft's sidecar to Envoy", ask: () => asked(weftOut, "ledger.weft") },
    { name: "a handshake with Envoy", ask: () => handshake(line, envoyIn, "ledger") },
    { name: "a handshake with weft's sidecar", ask: () => handshake(line, weftIn, "shelf") },
  ];
  try {
    for (const { name, ask } of ways) await until(async () => (await ask()) === "", name);
    const load = startLoad(ways);
    const authority = () => operator.client.getAuthority({});
    const before = (await authority()).trust.trim();
    await operator.client.rotateAuthority({}, { metadata: { authorization: `Bearer ${Mesh.operator}` } });
    const states = async () => (await authority()).roots.map(({ state }) => state).join();
    for (const end = Date.now() + 4 * LIFETIME_MS; Date.now() < end && (await states()) !== "signing"; ) {
      line.trust((await authority()).trust); // as its line to the control plane would tell it
      await pause(100);
    }
    line.trust((await authority()).trust);
    await pause(LIFETIME_MS);
    const counts = await load();
    const rotated = await states();
    await check("a root is replaced under load", async () => {
      const { trust } = await authority();
      if (rotated !== "signing" || trust.includes(before)) throw new Error(rotated);
      const { text } = await call({ port: envoy.admin, path: "/certs" });
      const { certificates } = JSON.parse(text) as { certificates: { ca_cert: unknown[] }[] };
      const trusted = Math.max(...certificates.map(({ ca_cert }) => ca_cert.length));
      if (trusted !== 1) throw new Error(`Envoy trusts ${trusted} roots`);
    });
    for (const { name, made, failed } of counts) {
      await check(`a root is replaced under load: ${name}, no call fails`, async () => {
        if (made < 50 || failed.length > 0) throw new Error(`${made} made, ${failed.length} failed: ${failed[0]}`);
      });
    }
    await expiry(mesh, line, ways, [envoyIn, weftIn], weft.lines, envoy.lines, check);
  } finally {
    await operator.close();
    await line.close();
  }
}

interface Way {
  readonly name: string;
  /** "" when it was answered, else why not. */
  ask(): Promise<string>;
}

/** The control plane ends, and comes back no more. `ports`: where each shows its certificate. `told`, `refused`: what weft's sidecar and Envoy say. */
async function expiry(
  { control }: Mesh,
  line: IdentityLine,
  ways: readonly Way[],
  ports: readonly number[],
  told: readonly string[],
  refused: readonly string[],
  check: (name: string, what: () => Promise<unknown>) => Promise<void>,
): Promise<void> {
  const load = startLoad(ways);
  await control.stop();
  // Nobody is renewed from now on: how much each had left is up to when it was renewed last.
  const shown = await Promise.all(ports.map((port) => shownUntil(port, line.current)));
  const ends = Math.min(line.current.notAfterMs, ...shown);
  await pause(Math.max(0, ends - Date.now()));
  for (const { name, made, failed, endedMs } of await load()) {
    await check(`the authority is down: ${name}, calls go on until certificates expire`, async () => {
      const early = failed.filter((_, i) => endedMs[i] < ends);
      if (made < 3 || early.length > 0) throw new Error(`${made} made, ${early.length} failed: ${early[0]}`);
    });
  }
  await check("the authority is down: weft's sidecar warns before its certificate expires", async () => {
    const first = (what: RegExp) => told.findIndex((text) => what.test(text));
    const warned = /calls go on until it expires/;
    await until(async () => first(warned) >= 0, `a warning in ${told.slice(-5)}`);
    const expired = first(/EXPIRED/);
    if (expired >= 0 && expired < first(warned)) throw new Error("only when it had expired");
  });
  await check("the authority is down: it says loudly that its certificate has expired", async () => {
    await until(async () => told.some((text) => /EXPIRED/.test(text)), "EXPIRED");
  });
  await pause(Math.max(0, line.current.notAfterMs - Date.now()) + 1_000);
  for (const { name, ask } of ways.filter(({ name }) => name.startsWith("a handshake"))) {
    await check(`the authority is down: ${name} fails once certificates have expired`, async () => {
      const problem = await ask();
      if (problem === "") throw new Error("it was answered");
      if (/expired/.test(problem)) return;
      // It was Envoy that judged first: it tells its caller by an alert, which the connection's end may overtake, and its log for certain.
      const told = async () => refused.some((text) => /certificate.has.expired/.test(text));
      await until(told, `why, behind "${problem}", in ${refused.slice(-3)}`);
    });
  }
}

interface Load {
  readonly name: string;
  readonly made: number;
  /** Why, of those that failed; `endedMs`: when each of them had. */
  readonly failed: string[];
  readonly endedMs: number[];
}

function startLoad(ways: readonly Way[]): () => Promise<Load[]> {
  let going = true;
  const all = ways.map(async ({ name, ask }): Promise<Load> => {
    const failed: string[] = [];
    const endedMs: number[] = [];
    let made = 0;
    for (; going; made++) {
      const problem = await ask().catch((error: Error) => error.message);
      if (problem !== "") {
        failed.push(problem);
        endedMs.push(Date.now());
      }
      await pause(20);
    }
    return { name, made, failed, endedMs };
  });
  return () => {
    going = false;
    return Promise.all(all);
  };
}

async function asked(port: number, host: string): Promise<string> {
  const { status, text } = await call({ port, path: "/x", headers: { host } });
  return status === 200 ? "" : `${status} ${text.slice(0, 200)}`;
}

async function handshake(identity: IdentityLine, port: number, service: string): Promise<string> {
  const pool = createUpstreamPool({ identity });
  try {
    const endpoint = { ...endpointAt(port, "h2c"), service, identity: spiffeId("shop", service) };
    const { status } = await callBy(pool, endpoint, "/x");
    return status === 200 ? "" : `${status}`;
  } catch (failure) {
    return (failure as Error).message;
  } finally {
    await pool.close(0);
  }
}
