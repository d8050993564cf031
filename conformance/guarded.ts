import { readdirSync } from "node:fs";
import { hostileCases, raw, rest } from "./hostile.ts";
import type { Case, Suite } from "./suite.ts";
import { type RunningSystem, withSystem } from "./system.ts";

/** Malformed and made-up input at a gateway that has every policy on. */
export const guarded: Suite = { name: "guarded", run: () => withSystem("conformance/guarded", guardedCases) };

export async function guardedCases(system: Pick<RunningSystem, "gateway" | "ps">): Promise<Case[]> {
  const { instances, gatewayAdmin } = await system.ps();
  const { port } = system.gateway;
  const pid = instances.find(({ service }) => service === "gateway")?.pid ?? 0;
  const adminPort = Number(/:(\d+)\/?$/.exec(gatewayAdmin)?.[1]);
  const cases = await hostileCases(port, pid);
  const before = descriptors(pid);
  for (const [name, wanted, path, fields] of madeUp()) {
    const head = fields.map(([field, value]) => `${field}: ${value}\r\n`).join("");
    const answer = await raw(
      port,
      Buffer.from(`GET ${path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n${head}\r\n`, "latin1"),
      12_000,
    );
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1] ?? 0);
    cases.push({ name: `${name}: ${wanted}`, ok: status === wanted, detail: answer.slice(0, 300) });
  }
  // Callers that vanish while their calls wait, are delayed, or are answered.
  for (let i = 0; i < 300; i++) {
    const head = `GET /counter HTTP/1.1\r\nhost: shop\r\nx-user: u${i}\r\nx-lane: ${i % 20}\r\nforwarded: for=${i}\r\n\r\n`;
    await raw(port, Buffer.from(head), i % 3 === 0 ? 1 : 20);
  }
  let inFlight: string | undefined;
  let after = 0;
  for (const end = performance.now() + 6_000; performance.now() < end; ) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const metrics = (await rest(adminPort, { path: "/metrics" })).body;
    inFlight = /^weft_calls_in_flight(?:\{[^}]*\})? (\d+)/m.exec(metrics)?.[1];
    after = descriptors(pid);
    if (inFlight === "0" && after <= before + 5) break;
  }
  cases.push({ name: "no call is left in flight", ok: inFlight === "0", detail: `${inFlight}` });
  cases.push({ name: "no descriptor is left", ok: after <= before + 5, detail: `${before} before, ${after} after` });
  const answer = await rest(port, { path: "/counter" });
  cases.push({
    name: "after all of it: it still answers",
    ok: answer.status === 200,
    detail: answer.body.slice(0, 200),
  });
  return cases;
}

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
const token = (header: object, claims: object): string => `Bearer ${part(header)}.${part(claims)}.AAAA`;
const SHOP = { iss: "https://id.test", aud: "shop", exp: 4_000_000_000 };
const signed = (covers: string): (readonly [string, string])[] => [
  [
    "signature-input",
    `a=("@method" "@authority" "@path" "@query"${covers});created=${Math.floor(Date.now() / 1000)};keyid="partner";nonce="n"`,
  ],
  ["signature", "a=:AAAA:"],
];

/** Made when it is asked: a signature says when it was made, and the suites before this one may take long. */
const madeUp = (): (readonly [
  name: string,
  status: number,
  path: string,
  fields: readonly (readonly [string, string])[],
])[] => [
  ["a token that nobody signed", 401, "/counter", [["authorization", token({ alg: "none" }, SHOP)]]],
  [
    "a token with a key of the caller's choice",
    401,
    "/counter",
    [["authorization", token({ alg: "HS256", kid: "../../x" }, SHOP)]],
  ],
  [
    "an audience that is no text",
    401,
    "/counter",
    [["authorization", token({ alg: "RS256" }, { ...SHOP, aud: [{ toString: 1, valueOf: 1 }] })]],
  ],
  [
    "claims that are no object",
    401,
    "/counter",
    [["authorization", `Bearer ${part({ alg: "RS256" })}.${part([1])}.AAAA`]],
  ],
  ["a token whose keys cannot be had", 503, "/counter", [["authorization", token({ alg: "RS256", kid: "a" }, SHOP)]]],
  ["an endless token", 401, "/counter", [["authorization", `Bearer ${"A".repeat(20_000)}`]]],
  [
    "two tokens",
    401,
    "/counter",
    [
      ["authorization", "Bearer a.b.c"],
      ["Authorization", "Bearer d.e.f"],
    ],
  ],
  ["a key that nobody has", 401, "/counter", [["X-API-Key", "__proto__"]]],
  ["a wrong password", 401, "/counter", [["authorization", `Basic ${Buffer.from("tester:x").toString("base64")}`]]],
  ["a signature of what is wrongly encoded", 401, "/counter", signed(' "@query-param";name="%zz"')],
  ["a signature whose secret is not there", 503, "/counter", signed("")],
  ["a path that is denied", 403, "/admin/x", []],
  ["the same with two slashes", 403, "//admin/x", []],
  ["the same in percents", 403, "/%61dmin/x", []],
  ["the same in two layers of them", 403, "/%2561dmin/x", []],
  ["the same behind a parameter", 403, "/x/..;/admin/x", []],
  ["the same behind dots", 403, "/counter/%2e%2e/admin/x", []],
  ["a path that a condition denies", 403, "/%73ecret", []],
  ["a field that a condition denies", 403, "/counter", [["X-EVIL", "no"]]],
  [
    "what only hops may say",
    200,
    "/counter",
    [
      ["X-Weft-Attempt", "9"],
      ["x-weft-limited", "addresses"],
      ["x_weft_priority", "10"],
      ["weft-fault", "abort=503"],
      ["x-role", "gold"],
      ["grpc-previous-rpc-attempts", "7"],
    ],
  ],
  [
    "fields with names that objects have",
    200,
    "/counter",
    [
      ["__proto__", "1"],
      ["constructor", "2"],
      ["cookie", "__proto__=1; lane=%zz; lane=x"],
    ],
  ],
  [
    "every condition that a cache knows",
    200,
    "/counter",
    [
      ["cache-control", 'max-stale=99999999999999999999, ="'],
      ["range", "bytes=-0,9-1"],
      ["if-none-match", '"'],
      ["if-modified-since", "Thu, 99 Xyz 9999 99:99:99 GMT"],
    ],
  ],
];

function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}
