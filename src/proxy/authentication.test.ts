import assert from "node:assert/strict";
import { createHash, createHmac, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { authentication, authorization, scryptHash } from "../policy/builders.ts";
import { startIdProvider } from "./id-provider.case.ts";
import { startSecured } from "./secured.case.ts";

const problemOf = async (response: Response): Promise<string> => {
  const { reason, detail, message } = (await response.json()) as Record<string, string>;
  return `${reason}: ${detail ?? message}`;
};
const bearer = (token: string): RequestInit => ({ headers: { authorization: `Bearer ${token}` } });

test("a good token passes, its claims go on as fields, and only its first call pays for the signature", async (t) => {
  const id = await startIdProvider(t);
  const shop = authentication("shop")
    .jwt(
      { issuer: id.url, audiences: ["shop"], jwks: { url: `${id.url}/keys` } },
      {
        claimHeaders: [
          { claim: "sub", header: "x-user" },
          { claim: "roles", header: "x-roles" },
        ],
        forwardToken: false,
      },
    )
    .on("shop");
  const world = await startSecured(t, shop.resources());
  const token = await id.token({ aud: "shop", roles: ["buyer", "editor"] });
  const seen: Record<string, string>[] = [];
  for (let i = 0; i < 5; i++) {
    const response = await fetch(world.url, {
      headers: { authorization: `Bearer ${token}`, "x-user": "root", "x-roles": "admin" },
    });
    assert.equal(response.status, 200);
    seen.push((await response.json()) as Record<string, string>);
  }
  for (const fields of seen) {
    assert.equal(fields["x-user"], "user-9");
    assert.equal(fields["x-roles"], "buyer,editor");
    assert.equal(fields.authorization, undefined);
  }
  assert.equal(id.fetches, 1);
  assert.equal(world.metric(/^weft_authentications_total\{jwt:shop,allowed\}/), 5);
  const step = world.newest().steps.find(({ rule }) => rule === "authenticate");
  assert.deepEqual([step?.text, step?.values], ["allowed by jwt:shop", { subject: "user-9", roles: "buyer editor" }]);
  // Neither tokens nor their signatures are in records or logs.
  for (const part of token.split(".")) assert.ok(!(world.decisions() + world.logged()).includes(part));
});

test("fields of claims that come from outside are taken out, also for callers who are nobody", async (t) => {
  const id = await startIdProvider(t);
  const shop = authentication("shop").jwt(
    { issuer: id.url, jwks: { url: `${id.url}/keys` } },
    { claimHeaders: [{ claim: "sub", header: "X-User" }] },
  );
  const world = await startSecured(t, shop.resources());
  const response = await fetch(world.url, { headers: { "x-user": "root", x_user: "root" } });
  assert.equal(response.status, 200);
  const fields = (await response.json()) as Record<string, string>;
  assert.deepEqual([fields["x-user"], fields.x_user], [undefined, undefined]);
});

test("a token that is not good is refused with what is wrong with it", async (t) => {
  const id = await startIdProvider(t);
  const other = await startIdProvider(t);
  const shop = authentication("shop").jwt({
    issuer: id.url,
    audiences: ["shop"],
    jwks: { url: `${id.url}/keys` },
    leeway: "0s",
    requiredClaims: [{ claim: "tier", equals: "gold" }],
  });
  const world = await startSecured(t, shop.on("shop").resources());
  const good = { aud: "shop", tier: "gold" };
  const cases: [string, RegExp][] = [
    [await id.token(good, { expiresIn: -5 }), /TOKEN_INVALID: jwt:shop: it expired ([5-9]|[1-5]\d) s ago/],
    [await id.token({ ...good, aud: "bank" }), /it is for the audience bank, not shop/],
    [await id.token({ ...good, iss: "https://evil.example" }), /its issuer is https:\/\/evil\.example, not/],
    [await id.token({ ...good, tier: "tin" }), /it does not have tier = gold/],
    [await id.token({ ...good, nbf: Math.floor(Date.now() / 1000) + 60 }), /it is valid only in \d+ s/],
    [await id.token(good, { expiresIn: null }), /it says no expiry/],
    [await other.token({ ...good, iss: id.url }, { keyId: null }), /its signature is wrong/],
    [await id.token(good, { algorithm: "HS256", key: randomBytes(32) }), /its algorithm HS256 is none of/],
    [
      `${Buffer.from('{"alg":"none"}').toString("base64url")}.${(await id.token(good)).split(".")[1]}.`,
      /no signed token/,
    ],
    [
      `${Buffer.from('{"alg":"none"}').toString("base64url")}.${(await id.token(good)).split(".")[1]}.AA`,
      /its algorithm none is none of/,
    ],
    ["nonsense", /it is no signed token/],
    [`a.${"b".repeat(15_000)}.c`, /longer than|no JSON|no signed/],
  ];
  for (const [token, wanted] of cases) {
    const response = await fetch(world.url, bearer(token));
    assert.equal(response.status, 401, String(wanted));
    assert.match(response.headers.get("www-authenticate") ?? "", /^Bearer realm="jwt:shop", error="invalid_token"/);
    assert.match(await problemOf(response), wanted);
  }
  const none = await fetch(world.url);
  assert.equal(none.status, 401);
  assert.match(await problemOf(none), /AUTHENTICATION_REQUIRED: authentication is required: a token of http/);
  assert.match(world.newest().nearest, /would have passed with a token of http/);
  assert.equal(world.upstream.heads.length, 0);
  assert.equal((await fetch(world.url, bearer(await id.token(good)))).status, 200);
});

test("two authorization fields are refused: another hop might take the other one", async (t) => {
  const id = await startIdProvider(t);
  const world = await startSecured(
    t,
    authentication("shop")
      .jwt({ issuer: id.url, jwks: { url: `${id.url}/keys` } })
      .resources(),
  );
  const { request } = await import("node:http");
  const token = await id.token();
  const status = await new Promise((resolve) => {
    const sent = request(
      world.url,
      { headers: ["host", "x", "authorization", `Bearer ${token}`, "authorization", "Bearer a.b.c"] },
      (response) => {
        response.resume();
        resolve(response.statusCode);
      },
    );
    sent.end();
  });
  assert.equal(status, 401);
});

test("keys rotate: an unknown key id fetches once, made-up ids do not, and known keys stay while the issuer is away", async (t) => {
  const id = await startIdProvider(t);
  const shop = authentication("shop").jwt({ issuer: id.url, jwks: { url: `${id.url}/keys`, cooldown: "1h" } });
  const world = await startSecured(t, shop.on("shop").resources());
  const status = async (token: string): Promise<number> => (await fetch(world.url, bearer(token))).status;
  assert.equal(await status(await id.token()), 200);
  const old = await id.token({ n: 1 });
  await id.rotate();
  assert.equal(await status(await id.token()), 200);
  assert.equal(id.fetches, 2);
  for (let i = 0; i < 5; i++) assert.equal(await status(await id.token({ i }, { keyId: `made-up-${i}` })), 401);
  assert.equal(id.fetches, 2);
  id.down = true;
  assert.equal(await status(old), 200);
});

test("when the issuer's keys cannot be had, calls are refused as unavailable and not as wrong", async (t) => {
  const id = await startIdProvider(t);
  id.down = true;
  const shop = authentication("shop").jwt({ issuer: id.url, jwks: { url: `${id.url}/keys` } });
  const world = await startSecured(t, shop.on("shop").resources());
  const response = await fetch(world.url, bearer(await id.token()));
  assert.equal(response.status, 503);
  assert.match(await problemOf(response), /AUTHENTICATION_UNAVAILABLE/);
  assert.match(world.problems.join(), /keys of http.* cannot be had: it answers with HTTP 503/);
});

test("tokens are found where the policy says: cookie, query, another header; and several issuers stand side by side", async (t) => {
  const [a, b] = [await startIdProvider(t), await startIdProvider(t)];
  const shop = authentication("shop")
    .jwt(
      {
        issuer: a.url,
        jwks: { url: `${a.url}/keys` },
        from: [{ cookie: "token" }, { query: "access_token" }, { header: "X-Token" }],
      },
      { name: "a" },
    )
    .jwt({ issuer: b.url, jwks: { url: `${b.url}/keys` } }, { name: "b" })
    .jwt({ issuer: "legacy", secret: { env: "LEGACY" }, algorithms: ["HS256"] }, { name: "legacy" })
    .on("shop");
  process.env.LEGACY = "s".repeat(40);
  t.after(() => delete process.env.LEGACY);
  const world = await startSecured(t, shop.resources());
  const token = await a.token();
  const statuses = await Promise.all(
    [
      fetch(world.url, { headers: { cookie: `a=b; token=${token}` } }),
      fetch(`${world.url}/?access_token=${token}`),
      fetch(world.url, { headers: { "x-token": token } }),
      fetch(world.url, bearer(await b.token())),
      fetch(
        world.url,
        bearer(await b.token({ iss: "legacy" }, { algorithm: "HS256", key: Buffer.from("s".repeat(40)) })),
      ),
      fetch(world.url, bearer(token)), // a's tokens are not looked for there
    ].map(async (response) => (await response).status),
  );
  assert.deepEqual(statuses, [200, 200, 200, 200, 200, 401]);
  assert.ok(!(world.decisions() + world.logged()).includes(token));
});

test("API keys: by their hash, from the policy and from a file that changes", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "weft-keys-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const file = join(dir, "keys.yaml");
  const sha256 = (key: string): string => createHash("sha256").update(key).digest("hex");
  writeFileSync(file, `- { name: till, sha256: ${sha256("key-of-till")} }\n`);
  const shop = authentication("shop")
    .apiKey(
      { consumers: [{ name: "stock", sha256: sha256("key-of-stock"), claims: { role: "machine" } }], file },
      { claimHeaders: [{ claim: "role", header: "x-role" }] },
    )
    .on("shop");
  const rules = authorization("shop").allow({ subjects: ["stock", "till"], authenticatedBy: ["api-key:shop"] });
  const world = await startSecured(t, [...shop.resources(), ...rules.resources()]);
  const call = (key: string): Promise<Response> => fetch(world.url, { headers: { "x-api-key": key } });
  const stock = await call("key-of-stock");
  assert.equal(stock.status, 200);
  const fields = (await stock.json()) as Record<string, string>;
  assert.equal(fields["x-role"], "machine");
  assert.equal(fields["x-api-key"], undefined);
  assert.equal((await call("key-of-till")).status, 200);
  const wrong = await call("guess");
  assert.equal(wrong.status, 401);
  assert.match(await problemOf(wrong), /TOKEN_INVALID: api-key:shop: no consumer has this key/);
  assert.ok(!world.decisions().includes("key-of-"));
});

test("signatures (RFC 9421): good once, over what they must cover, while they are young", async (t) => {
  process.env.PARTNER = "partner-secret-partner-secret-32";
  t.after(() => delete process.env.PARTNER);
  const shop = authentication("partners")
    .hmac({ keys: [{ id: "acme", secret: { env: "PARTNER" }, claims: { role: "partner" } }] })
    .on("shop");
  const world = await startSecured(t, shop.resources());
  const sign = (
    path: string,
    {
      created = Math.floor(Date.now() / 1000),
      nonce = randomBytes(8).toString("hex"),
      covers = ["@method", "@authority", "@path", "@query"],
      keyid = "acme",
    } = {},
  ): Record<string, string> => {
    const params = `(${covers.map((name) => `"${name}"`).join(" ")});created=${created};nonce="${nonce}";keyid="${keyid}";alg="hmac-sha256"`;
    const url = new URL(path, world.url);
    const values: Record<string, string> = {
      "@method": "GET",
      "@authority": url.host,
      "@path": url.pathname,
      "@query": url.search || "?",
    };
    const base = `${covers.map((name) => `"${name}": ${values[name]}\n`).join("")}"@signature-params": ${params}`;
    const signature = createHmac("sha256", process.env.PARTNER as string)
      .update(base)
      .digest("base64");
    return { "signature-input": `sig1=${params}`, signature: `sig1=:${signature}:` };
  };
  const get = async (path: string, headers: Record<string, string>): Promise<string> => {
    const response = await fetch(`${world.url}${path}`, { headers });
    return response.status === 200 ? "ok" : problemOf(response);
  };
  const headers = sign("/orders?a=1");
  assert.equal(await get("/orders?a=1", headers), "ok");
  assert.match(await get("/orders?a=1", headers), /nonce was used before/);
  assert.match(await get("/orders?a=2", sign("/orders?a=1")), /its signature is wrong/);
  assert.match(await get("/orders", sign("/orders", { created: Math.floor(Date.now() / 1000) - 600 })), /too old/);
  assert.match(await get("/orders", sign("/orders", { created: Math.floor(Date.now() / 1000) + 60 })), /in the future/);
  assert.match(
    await get("/orders", sign("/orders", { covers: ["@method"] })),
    /does not cover @authority, @path, @query/,
  );
  assert.match(await get("/orders", sign("/orders", { nonce: "" })), /has no nonce/);
  assert.match(await get("/orders", sign("/orders", { keyid: "other" })), /keyid is not known/);
  assert.match(await get("/orders", { signature: "sig1=:AAAA:" }), /belong together/);
  assert.ok(!world.decisions().includes("partner-secret"));
});

test("passwords: scrypt once, then by digest; never in the clear unless the policy says so", async (t) => {
  const hash = scryptHash("open sesame", { N: 1024, r: 8, p: 1 });
  const basic = { users: [{ name: "ali", password: hash, claims: { role: "owner" } }] };
  const world = await startSecured(t, authentication("staff").basic(basic).on("shop").resources());
  const call = (pair: string): Promise<Response> =>
    fetch(world.url, { headers: { authorization: `Basic ${btoa(pair)}` } });
  assert.match(await problemOf(await call("ali:open sesame")), /over TLS only/);
  world.apply(
    authentication("staff")
      .basic({ ...basic, insecure: true })
      .on("shop")
      .resources(),
  );
  assert.equal((await call("ali:open sesame")).status, 200);
  assert.equal((await call("ali:open sesame")).status, 200);
  for (const pair of ["ali:open barley", "baba:open sesame", "ali", "ali:"]) {
    const response = await call(pair);
    assert.equal(response.status, 401);
    assert.match(response.headers.get("www-authenticate") ?? "", /^Basic realm=/);
  }
  assert.ok(!world.decisions().includes("sesame") && !world.decisions().includes(btoa("ali:open sesame")));
});

test("gRPC callers are told unauthenticated and permission_denied", async (t) => {
  const id = await startIdProvider(t);
  const shop = authentication("shop")
    .jwt({ issuer: id.url, jwks: { url: `${id.url}/keys` } })
    .on("shop");
  const rules = authorization("shop").allow({ claims: [{ claim: "role", equals: "buyer" }] });
  const world = await startSecured(t, [...shop.resources(), ...rules.resources()]);
  const call = async (headers: Record<string, string>): Promise<string | null> =>
    (
      await fetch(`${world.url}/shop.v1.Shop/Buy`, {
        method: "POST",
        headers: { "content-type": "application/grpc", ...headers },
      })
    ).headers.get("grpc-status");
  assert.equal(await call({}), "16");
  assert.equal(await call({ authorization: `Bearer ${await id.token({ role: "guest" })}` }), "7");
  assert.match(world.newest().nearest, /^allowed if role = buyer$/);
});

test("a token that is verified while many calls wait for it is verified once", async (t) => {
  const id = await startIdProvider(t);
  const { createSecurityQueries } = await import("../call/queries/security-queries.ts");
  const security = createSecurityQueries();
  const world = await startSecured(
    t,
    authentication("shop")
      .jwt({ issuer: id.url, jwks: { url: `${id.url}/keys` } })
      .on("shop")
      .resources(),
    { queries: security.handlers },
  );
  const token = await id.token();
  const responses = await Promise.all(Array.from({ length: 20 }, () => fetch(world.url, bearer(token))));
  assert.ok(responses.every(({ status }) => status === 200));
  for (let i = 0; i < 20; i++) assert.equal((await fetch(world.url, bearer(token))).status, 200);
  assert.equal(security.verifications, 1);
  // A new snapshot goes on with what was verified, as long as the provider stays as it is.
  const resources = authentication("shop").jwt({ issuer: id.url, jwks: { url: `${id.url}/keys` } });
  world.apply([...resources.on("shop").resources(), ...authorization("shop").allow({}).resources()]);
  assert.equal((await fetch(world.url, bearer(token))).status, 200);
  assert.equal(security.verifications, 1);
  world.apply(
    authentication("shop")
      .jwt({ issuer: id.url, jwks: { url: `${id.url}/keys` }, leeway: "1s" })
      .on("shop")
      .resources(),
  );
  assert.equal((await fetch(world.url, bearer(token))).status, 200);
  assert.equal(security.verifications, 2);
  await security.close();
});

test("a body that comes while keys are fetched arrives whole, over HTTP/1.1 and HTTP/2", async (t) => {
  const id = await startIdProvider(t);
  const shop = authentication("shop")
    .jwt({ issuer: id.url, jwks: { url: `${id.url}/keys` } })
    .on("shop");
  const world = await startSecured(t, shop.resources());
  const bodies: number[] = [];
  world.serve((call) => {
    let bytes = 0;
    call.onBody = (part) => {
      bytes += part.length;
    };
    call.onEnd = () => {
      bodies.push(bytes);
      call.answer(200, "{}");
    };
  });
  const body = new Uint8Array(400_000);
  const post = await fetch(world.url, { method: "POST", body, ...bearer(await id.token()) });
  assert.equal(post.status, 200);
  const { connect } = await import("node:http2");
  const session = connect(world.url);
  const stream = session.request({ ":method": "POST", authorization: `Bearer ${await id.token({ n: 2 })}` });
  const status = new Promise((resolve) => stream.on("response", (headers) => resolve(headers[":status"])));
  stream.end(body);
  assert.equal(await status, 200);
  session.destroy();
  assert.deepEqual(bodies, [400_000, 400_000]);
});

test("a caller who goes away while keys are fetched leaves nothing behind", async (t) => {
  const id = await startIdProvider(t);
  const { createServer } = await import("node:http");
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    silent.closeAllConnections();
    silent.close();
  });
  const { port } = silent.address() as { port: number };
  const shop = authentication("shop")
    .jwt({ issuer: id.url, jwks: { url: `http://127.0.0.1:${port}/keys` } })
    .on("shop");
  const world = await startSecured(t, shop.resources());
  const { connect } = await import("node:http2");
  const session = connect(world.url);
  const stream = session.request({ authorization: `Bearer ${await id.token()}` });
  stream.on("error", () => {});
  const inFlight = async (count: number): Promise<void> => {
    for (let i = 0; i < 1_000 && world.metric(/^weft_calls_in_flight/) !== count; i++)
      await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(world.metric(/^weft_calls_in_flight/), count);
  };
  await inFlight(1);
  stream.close(8); // CANCEL
  await inFlight(0);
  assert.equal(world.newest().outcome.reason, "CANCELLED");
  session.destroy();
});
