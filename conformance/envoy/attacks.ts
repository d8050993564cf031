import { TestAuthority } from "../../src/net/identity.case.ts";
import { freePort } from "../free-port.ts";
import { inPlain, overTls, selfSigned } from "../identity/raw-peer.ts";
import { call, Mesh, until } from "./mesh.ts";

/** Who is not who he says to be, before weft's own sidecar and before a stock Envoy: nobody gets anything, and each place says why. (Typed services: the suite "identity".) */
export async function attackCases(check: (name: string, what: () => Promise<unknown>) => Promise<void>): Promise<void> {
  const shop = new TestAuthority("shop");
  const bank = new TestAuthority("bank");
  const privateKey = shop.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  await using mesh = await Mesh.start({ given: { certificate: shop.trust, privateKey } });
  await mesh.publish(policies("strict"));
  const app = await mesh.application();
  const ports = { envoy: await freePort(), weft: await freePort() };
  const out = { envoy: await freePort(), weft: await freePort() };
  const places = {
    envoy: await mesh.envoy("ledger", { listen: ports.envoy, app, outbound: out.envoy }),
    weft: await mesh.sidecar("shelf", { listen: ports.weft, app, outbound: out.weft }),
  };
  const own = shop.issue("web");
  const ghost = await mesh.backend("ghost", "v1");
  const plainAnswer = /^HTTP\/1\.1 200/;
  await until(async () => plainAnswer.test(await overTls(ports.envoy, own, "")), "Envoy's inbound side");
  await until(async () => plainAnswer.test(await overTls(ports.weft, own, "")), "the sidecar's inbound side");
  const forged = "x-weft-attempt: 1\r\nx-weft-peer: spiffe://shop/orders\r\nx-weft-lane: admin\r\n";
  const bad: [who: string, make: (port: number) => Promise<string>, weft: RegExp, envoy: RegExp][] = [
    [
      "plain text",
      (port) => inPlain(port, ""),
      /speaks plain text.*takes mutual TLS alone/,
      /refused .* filter_chain_not_found/,
    ],
    [
      "plain text with forged hop headers",
      (port) => inPlain(port, forged),
      /speaks plain text/,
      /refused .* filter_chain_not_found/,
    ],
    [
      "no certificate, forged hop headers",
      (port) => overTls(port, null, forged),
      /showed no certificate/,
      /refused .*PEER_DID_NOT_RETURN_A_CERTIFICATE/,
    ],
    [
      "an expired certificate",
      (port) => overTls(port, shop.issue("web", { lifetimeMs: -1_000 }), ""),
      /for spiffe:\/\/shop\/web expired at/,
      /refused .*certificate.has.expired/,
    ],
    [
      "a process of another system",
      (port) => overTls(port, bank.issue("web"), ""),
      /of another system: spiffe:\/\/bank\/web/,
      /refused .*CERTIFICATE_VERIFY_FAILED/,
    ],
    [
      "another system's name, signed by our authority",
      (port) => overTls(port, shop.issue("web", { uri: "spiffe://bank/web" }), ""),
      /of another system: spiffe:\/\/bank/,
      /refused .*SAN/i,
    ],
    [
      "our name, signed by another authority",
      (port) => overTls(port, bank.issue("web", { uri: "spiffe://shop/web" }), ""),
      /spiffe:\/\/shop\/web is not signed by an authority/,
      /refused .*CERTIFICATE_VERIFY_FAILED/,
    ],
    [
      "our name, self-signed",
      (port) => overTls(port, selfSigned("shop", "spiffe://shop/web"), ""),
      /not signed by an authority/,
      /refused .*CERTIFICATE_VERIFY_FAILED/,
    ],
    [
      "a certificate without a SPIFFE id",
      (port) => overTls(port, shop.issue("web", { uri: "https://shop/web" }), ""),
      /holds no SPIFFE id/,
      /refused .*SAN/i,
    ],
  ];
  for (const [place, port] of Object.entries(ports) as ["envoy" | "weft", number][]) {
    for (const [who, make, weft, envoy] of bad) {
      await check(
        `${place === "envoy" ? "Envoy" : "weft's sidecar"}: ${who} gets nothing, and it says why`,
        async () => {
          const { lines } = places[place];
          const before = lines.length;
          const reached = await make(port);
          if (reached !== "") throw new Error(`it got ${reached.slice(0, 200)}`);
          const reason = place === "envoy" ? envoy : weft;
          await until(
            async () => lines.slice(before).some((line) => reason.test(line)),
            `${reason} in ${lines.slice(before)}`,
          );
        },
      );
    }
    const named = place === "envoy" ? "Envoy" : "weft's sidecar";
    await check(`${named}: another service's identity does not open what is another's`, async () => {
      const [, status] = /^HTTP\/1\.1 (\d+)/.exec(await overTls(port, own, forged, "/secret")) ?? [];
      if (status !== "403") throw new Error(`it got ${status}`);
      const [, right] = /^HTTP\/1\.1 (\d+)/.exec(await overTls(port, shop.issue("orders"), "", "/secret")) ?? [];
      if (right !== "200") throw new Error(`who may got ${right}`);
    });
    await check(`${named} calls nobody who proves to be another than was called`, async () => {
      const service = `vault-${place}`;
      await mesh.register({ id: `${service}-1`, service, port: ports.envoy, identity: `spiffe://shop/${service}` });
      const ask = () => call({ port: out[place], path: "/x", headers: { host: `${service}.weft` } });
      await until(
        async () => !["NO_ROUTE", "NO_HEALTHY_ENDPOINT"].includes((await ask()).json?.reason),
        "the service to be known",
      );
      const { status, json } = await ask();
      if (status !== 503) throw new Error(`it got ${status}`);
      if (place === "weft" && !/it is spiffe:\/\/shop\/ledger, expected was/.test(JSON.stringify(json)))
        throw new Error(JSON.stringify(json));
    });
  }
  for (const [place, port] of Object.entries(out)) {
    const named = place === "envoy" ? "Envoy" : "weft's sidecar";
    await check(`${named} does not call an endpoint of a strict service that proves nothing`, async () => {
      const ask = () => call({ port, path: "/x", headers: { host: "ghost.weft" } });
      await until(
        async () => !["NO_ROUTE", "NO_HEALTHY_ENDPOINT"].includes((await ask()).json?.reason),
        "the service to be known",
      );
      const { status, text } = await ask();
      if (status !== 503 || ghost.requests > 0) throw new Error(`${status} ${text}, ${ghost.requests} calls`);
    });
  }
  await mesh.backend("products", "v1");
  await mesh.publish(`${policies("permissive")}---\n${GATEWAY}`);
  const edge = await freePort();
  await mesh.envoy("gateway", { listen: edge });
  await check("Envoy as gateway: what callers say for hops goes to no service, however it is written", async () => {
    const headers = { host: "shop.example", ...Object.fromEntries(FORGED.map((name) => [name, "10.9.9.9"])) };
    const ask = () => call({ port: edge, headers });
    await until(async () => (await ask()).status === 200, "the gateway");
    const { json } = await ask();
    const told = Object.entries(json.headers as Record<string, string>).filter(
      ([name, value]) => FORGED.includes(name) && value.includes("10.9.9.9"),
    );
    if (told.length > 0) throw new Error(JSON.stringify(told));
    if (!/^[\d.]+$/.test(json.headers["x-forwarded-for"]) || json.headers["x-forwarded-proto"] !== "http")
      throw new Error(JSON.stringify(json.headers));
  });
  await check("Envoy as gateway: a service that takes its word is told nothing of what callers say", async () => {
    const headers = { host: "shop.example", ...Object.fromEntries(FORGED.map((name) => [name, "10.9.9.9"])) };
    const { status, json } = await call({ port: edge, path: "/x", headers });
    if (status !== 200 || json.headers["x-weft-peer"] !== "spiffe://shop/gateway")
      throw new Error(`${status} ${JSON.stringify(json)}`);
    const told = Object.values(json.headers as Record<string, string>).filter((value) => value.includes("10.9.9.9"));
    if (told.length > 0) throw new Error(JSON.stringify(json.headers));
  });
  for (const [place, port] of Object.entries(ports)) {
    const named = place === "envoy" ? "Envoy" : "weft's sidecar";
    await check(`${named}: what a caller without an identity says to be is told to no application`, async () => {
      await until(async () => plainAnswer.test(await inPlain(port, "")), "plain text to be taken");
      const answer = await inPlain(port, `${forged}x-forwarded-client-cert: URI=spiffe://shop/orders\r\n`);
      if (!plainAnswer.test(answer)) throw new Error(answer);
      if (/spiffe:|x-weft-(?!peer":""|request)/.test(answer)) throw new Error(`the application got ${answer}`);
    });
  }
  await mesh.publish(policies("off"));
  for (const [place, port] of Object.entries(ports) as ["envoy" | "weft", number][]) {
    const named = place === "envoy" ? "Envoy" : "weft's sidecar";
    await check(`${named}: where mutual TLS is off, calls come and go in plain text`, async () => {
      if (!plainAnswer.test(await inPlain(port, ""))) throw new Error("plain text is not taken");
      const other = place === "envoy" ? "shelf" : "ledger";
      const ask = () => call({ port: out[place], path: "/x", headers: { host: `${other}.weft` } });
      await until(async () => {
        const { status, text } = await ask();
        return status === 200 && !text.includes("spiffe:");
      }, `${other} to be called in plain text`);
    });
    await check(`${named}: where mutual TLS is off, who goes by the policy from before is answered`, async () => {
      if (!plainAnswer.test(await overTls(port, own, ""))) throw new Error("it is not");
    });
  }
}

/** What a service believes of a hop. */
const FORGED = [
  ...[
    "x-weft-attempt",
    "x-weft-peer",
    "x-weft-lane",
    "x-weft-limited",
    "x_weft_limited",
    "x-forwarded-for",
    "x_forwarded_for",
  ],
  ...["x-forwarded-host", "x-forwarded-client-cert", "forwarded", "x-real-ip", "x-original-url", "x-rewrite-url"],
];

const GATEWAY = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: shop }
spec:
  hostnames: ["shop.example"]
  rules:
    - { matches: [{ path: { value: /x } }], backendRefs: [{ name: shelf }] }
    - { backendRefs: [{ name: products }] }
`;

function policies(mtls: string): string {
  return ["ledger", "shelf", "ghost"]
    .map(
      (name) => `apiVersion: weftmesh.dev/v1
kind: TrafficPolicy
metadata: { name: ${name} }
spec: { targetRefs: [{ kind: Service, name: ${name} }], mtls: ${mtls} }
---
apiVersion: weftmesh.dev/v1
kind: Authorization
metadata: { name: ${name} }
spec:
  targetRefs: [{ kind: Service, name: ${name} }]
  at: [server]
  rules:
    - { action: allow, paths: ["/x", "/healthz"] }
    - { action: allow, paths: ["/secret"], peers: ["spiffe://shop/orders"] }
`,
    )
    .join("---\n");
}
