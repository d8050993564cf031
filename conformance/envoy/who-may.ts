import { createSign, generateKeyPairSync } from "node:crypto";
import { TestAuthority } from "../../src/net/identity.case.ts";
import { freePort } from "../free-port.ts";
import { overTls } from "../identity/raw-peer.ts";
import { call, Mesh, until } from "./mesh.ts";

/** One policy with rules on the peer's identity, on the end user's token, and on both, before weft's own sidecar and before a stock Envoy; what an audit would deny is told. */
export async function whoMayCases(check: (name: string, what: () => Promise<unknown>) => Promise<void>): Promise<void> {
  const shop = new TestAuthority("shop");
  const authority = shop.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  await using mesh = await Mesh.start({ given: { certificate: shop.trust, privateKey: authority } });
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2_048 });
  const jwk = { ...publicKey.export({ format: "jwk" }), kid: "k1", alg: "RS256", use: "sig" };
  await mesh.publish(
    ["ledger", "shelf"].map((service) => policy(service, JSON.stringify({ keys: [jwk] }))).join("---\n"),
  );
  const token = (role: string): string => {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const claims = { iss: "https://id.test", sub: "ann", exp: Math.floor(Date.now() / 1_000) + 600, role };
    const text = `${part({ alg: "RS256", kid: "k1" })}.${part(claims)}`;
    return `authorization: Bearer ${text}.${createSign("RSA-SHA256").update(text).sign(privateKey).toString("base64url")}\r\n`;
  };
  const app = await mesh.application();
  const [envoyIn, weftIn, adminPort] = [await freePort(), await freePort(), await freePort()];
  const envoy = await mesh.envoy("ledger", { listen: envoyIn, app });
  await mesh.sidecar("shelf", { listen: weftIn, app, outbound: await freePort(), admin: adminPort });
  const [orders, web] = [shop.issue("orders"), shop.issue("web")];
  const table: [path: string, who: string, make: (port: number) => Promise<string>, status: RegExp][] = [
    ["/both", "the peer and the user", (port) => overTls(port, orders, token("buyer"), "/both"), /^200$/],
    ["/both", "the peer, another user", (port) => overTls(port, orders, token("guest"), "/both"), /^403$/],
    ["/both", "the peer, no user", (port) => overTls(port, orders, "", "/both"), /^40[13]$/],
    ["/both", "another peer, the user", (port) => overTls(port, web, token("buyer"), "/both"), /^403$/],
    ["/user", "another peer, the user", (port) => overTls(port, web, token("buyer"), "/user"), /^200$/],
    ["/user", "the peer, no user", (port) => overTls(port, orders, "", "/user"), /^40[13]$/],
    ["/peer", "the peer, no user", (port) => overTls(port, orders, "", "/peer"), /^200$/],
    ["/peer", "another peer, the user", (port) => overTls(port, web, token("buyer"), "/peer"), /^403$/],
    ["/open", "another peer: audited alone", (port) => overTls(port, web, "", "/open"), /^200$/],
  ];
  for (const [place, port] of [
    ["Envoy", envoyIn],
    ["weft's sidecar", weftIn],
  ] as const) {
    await until(async () => (await overTls(port, orders, "", "/peer")).startsWith("HTTP/1.1 200"), place);
    for (const [path, who, make, wanted] of table) {
      await check(`${place}: ${path} by ${who}`, async () => {
        const [, status = "nothing"] = /^HTTP\/1\.1 (\d+)/.exec(await make(port)) ?? [];
        if (!wanted.test(status)) throw new Error(`${status}, not ${wanted}`);
      });
    }
  }
  await check("Envoy: audit counts what would be denied, by rule", async () => {
    const { text } = await call({ port: envoy.admin, path: "/stats?filter=rbac" });
    if (!/rbac\.audit\.policy\.ledger\/would-deny\.shadow_denied: [1-9]/.test(text)) throw new Error(text);
  });
  await check("weft's sidecar: audit counts what would be denied", async () => {
    const { text } = await call({ port: adminPort, path: "/metrics" });
    if (!/^weft_authorizations_total\{[^}]*result="audited"[^}]*\} [1-9]/m.test(text))
      throw new Error(
        text
          .split("\n")
          .filter((one) => one.includes("authorizations"))
          .join("; "),
      );
  });
}

function policy(service: string, keys: string): string {
  return `apiVersion: weftmesh.dev/v1
kind: Authentication
metadata: { name: users-of-${service} }
spec:
  targetRefs: [{ kind: Service, name: ${service} }]
  at: [server]
  optional: true
  providers: [{ name: "users-of-${service}", jwt: { issuer: "https://id.test", jwks: { inline: ${keys} } } }]
---
apiVersion: weftmesh.dev/v1
kind: Authorization
metadata: { name: ${service} }
spec:
  targetRefs: [{ kind: Service, name: ${service} }]
  at: [server]
  rules:
    - { action: allow, paths: ["/both"], peers: ["spiffe://shop/orders"], claims: [{ claim: role, equals: buyer }] }
    - { action: allow, paths: ["/user"], claims: [{ claim: role, equals: buyer }] }
    - { action: allow, paths: ["/peer"], peers: ["spiffe://shop/orders"] }
    - { action: allow, paths: ["/open"] }
    - { name: would-deny, action: audit, paths: ["/open"], peers: ["spiffe://shop/web"] }
`;
}
