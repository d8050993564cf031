import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type TestContext, test } from "node:test";
import { authentication } from "../policy/builders.ts";
import type { OidcSpec } from "../policy/security/authentication-resource.ts";
import { type IdProvider, startIdProvider } from "./id-provider.case.ts";
import { type Secured, startSecured } from "./secured.case.ts";

/** An OpenID provider: what authorization requests it got, and what its token endpoint does. */
interface Provider extends IdProvider {
  readonly forms: URLSearchParams[];
  readonly basic: string[];
  claims: Record<string, unknown>;
  expiresIn: number;
  refuse: string;
  codeChallenge: string;
  nonce: string;
}

async function startProvider(t: TestContext): Promise<Provider> {
  const id = (await startIdProvider(t)) as Provider;
  Object.assign(id, {
    forms: [],
    basic: [],
    claims: { role: "buyer" },
    expiresIn: 3_600,
    refuse: "",
    codeChallenge: "",
    nonce: "",
  });
  let refreshes = 0;
  id.serve = (request, response, body) => {
    const json = (status: number, value: unknown): void => {
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    };
    if (request.url === "/.well-known/openid-configuration") {
      return json(200, {
        issuer: id.url,
        authorization_endpoint: `${id.url}/authorize?tenant=1`,
        token_endpoint: `${id.url}/token`,
        jwks_uri: `${id.url}/keys`,
        end_session_endpoint: `${id.url}/end`,
      });
    }
    if (request.url !== "/token") return json(404, {});
    const form = new URLSearchParams(body);
    id.forms.push(form);
    id.basic.push(request.headers.authorization ?? "");
    if (id.refuse !== "") return json(400, { error: id.refuse });
    if (form.get("grant_type") === "authorization_code") {
      const challenge = createHash("sha256")
        .update(form.get("code_verifier") ?? "")
        .digest("base64url");
      if (challenge !== id.codeChallenge) return json(400, { error: "invalid_grant" });
    }
    const nonce = form.get("grant_type") === "authorization_code" ? { nonce: id.nonce } : {};
    id.token({ aud: "shop-web", ...nonce, ...id.claims }).then((id_token) =>
      json(200, { id_token, access_token: "a", refresh_token: `refresh-${++refreshes}`, expires_in: id.expiresIn }),
    );
  };
  return id;
}

/** Cookies as a browser keeps them. */
class Browser {
  readonly jar = new Map<string, string>();
  readonly #world: Secured;

  constructor(world: Secured) {
    this.#world = world;
  }

  async get(path: string, accept = "text/html,*/*"): Promise<Response> {
    const cookie = Array.from(this.jar, ([name, value]) => `${name}=${value}`).join("; ");
    const headers = { accept, ...(cookie === "" ? {} : { cookie: `theme=dark; ${cookie}` }) };
    const response = await fetch(new URL(path, this.#world.url), { redirect: "manual", headers });
    for (const line of response.headers.getSetCookie()) {
      assert.match(line, /; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Lax$/);
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line) as RegExpExecArray;
      if (value === "") this.jar.delete(name);
      else this.jar.set(name, value);
    }
    return response;
  }
}

/** Until the provider's page; gives the authorization request's parameters. */
async function beginLogin(browser: Browser, id: Provider, path: string): Promise<URLSearchParams> {
  const response = await browser.get(path);
  assert.equal(response.status, 302);
  const location = new URL(response.headers.get("location") ?? "");
  assert.equal(location.origin + location.pathname, `${id.url}/authorize`);
  const said = location.searchParams;
  id.codeChallenge = said.get("code_challenge") ?? "";
  id.nonce = said.get("nonce") ?? "";
  return said;
}

const KEYS = { COOKIE_1: "k".repeat(40), COOKIE_2: "q".repeat(40), CLIENT: "client secret/+" };
for (const [name, value] of Object.entries(KEYS)) process.env[name] = value;

function shop(id: Provider, changes: Partial<OidcSpec> = {}) {
  const spec = {
    issuer: id.url,
    clientId: "shop-web",
    clientSecret: { env: "CLIENT" },
    cookieKeys: [{ env: "COOKIE_1" }],
    scopes: ["email"],
  };
  return authentication("web")
    .oidc({ ...spec, ...changes }, { claimHeaders: [{ claim: "role", header: "x-role" }] })
    .on("shop")
    .resources();
}

test("a browser is sent to log in, comes back to where it was, and stays logged in", async (t) => {
  const id = await startProvider(t);
  const world = await startSecured(t, shop(id));
  const browser = new Browser(world);
  const said = await beginLogin(browser, id, "/orders/7?tab=2");
  assert.deepEqual(
    ["response_type", "client_id", "redirect_uri", "scope", "code_challenge_method", "tenant"].map((name) =>
      said.get(name),
    ),
    ["code", "shop-web", `${world.url}/oauth2/callback`, "openid email", "S256", "1"],
  );
  const back = await browser.get(`/oauth2/callback?code=c0de&state=${said.get("state")}`);
  assert.equal(back.status, 302);
  assert.equal(back.headers.get("location"), "/orders/7?tab=2");
  assert.deepEqual([...browser.jar.keys()], ["weft_session"]);
  assert.equal(id.basic[0], `Basic ${btoa("shop-web:client+secret%2F%2B")}`);
  for (let i = 0; i < 3; i++) {
    const page = await browser.get("/orders/7?tab=2");
    assert.equal(page.status, 200);
    const fields = (await page.json()) as Record<string, string>;
    assert.equal(fields["x-role"], "buyer");
    assert.equal(fields.cookie, "theme=dark"); // the session stays at the gateway
  }
  assert.equal(id.forms.length, 1);
  const step = world.newest().steps.find(({ rule }) => rule === "authenticate");
  assert.deepEqual([step?.text, step?.values], ["allowed by oidc:web", { subject: "user-9", role: "buyer" }]);
  const records = world.decisions() + world.logged();
  for (const secret of [
    browser.jar.get("weft_session") ?? "",
    "c0de",
    said.get("state") ?? "",
    "refresh-1",
    ...Object.values(KEYS),
  ]) {
    assert.ok(!records.includes(secret));
  }
});

test("programs are not redirected: 401; a login that was not begun here, or is another's, is refused", async (t) => {
  const id = await startProvider(t);
  const world = await startSecured(t, shop(id));
  assert.equal((await fetch(world.url, { redirect: "manual", headers: { accept: "application/json" } })).status, 401);
  assert.equal(
    (await fetch(world.url, { redirect: "manual", method: "POST", headers: { accept: "text/html" } })).status,
    401,
  );
  const stranger = new Browser(world);
  assert.equal((await stranger.get("/oauth2/callback?code=c&state=s")).status, 401);
  const victim = new Browser(world);
  const said = await beginLogin(victim, id, "/");
  assert.equal((await victim.get("/oauth2/callback?code=c&state=another")).status, 401); // CSRF
  assert.equal((await stranger.get(`/oauth2/callback?code=c&state=${said.get("state")}`)).status, 401);
  assert.equal((await victim.get(`/oauth2/callback?error=access_denied&state=${said.get("state")}`)).status, 401);
  assert.equal(
    (await victim.get(`/oauth2/callback?code=c&state=${said.get("state")}&iss=https://evil.example`)).status,
    401,
  );
  id.nonce = "another";
  const replayed = await victim.get(`/oauth2/callback?code=c&state=${said.get("state")}`);
  assert.equal(replayed.status, 401);
  assert.match(await replayed.text(), /ID token has another nonce/);
  assert.ok(!victim.jar.has("weft_session"));
});

test("a cookie that was changed, or of another key, is no session", async (t) => {
  const id = await startProvider(t);
  const world = await startSecured(t, shop(id));
  const browser = new Browser(world);
  const said = await beginLogin(browser, id, "/");
  await browser.get(`/oauth2/callback?code=c&state=${said.get("state")}`);
  const cookie = browser.jar.get("weft_session") ?? "";
  const other = cookie.at(-30) === "A" ? "B" : "A";
  browser.jar.set("weft_session", cookie.slice(0, -30) + other + cookie.slice(-29));
  assert.equal((await browser.get("/", "*/*")).status, 401);
  assert.equal((await browser.get("/")).status, 302); // a navigation logs in again
  // The key changes: the new one seals, the old one still opens.
  browser.jar.set("weft_session", cookie);
  world.apply(shop(id, { cookieKeys: [{ env: "COOKIE_2" }, { env: "COOKIE_1" }] }));
  assert.equal((await browser.get("/", "*/*")).status, 200);
  world.apply(shop(id, { cookieKeys: [{ env: "COOKIE_2" }] }));
  assert.equal((await browser.get("/", "*/*")).status, 401);
});

test("tokens that expire are refreshed once for all calls that come together; a provider that says no ends the session", async (t) => {
  const id = await startProvider(t);
  id.expiresIn = 0;
  const world = await startSecured(t, shop(id));
  const browser = new Browser(world);
  const said = await beginLogin(browser, id, "/");
  await browser.get(`/oauth2/callback?code=c&state=${said.get("state")}`);
  const first = browser.jar.get("weft_session") ?? "";
  id.expiresIn = 3_600;
  id.claims = { role: "owner" };
  const cookie = { headers: { cookie: `weft_session=${first}` } };
  const pages = await Promise.all(Array.from({ length: 5 }, () => fetch(world.url, cookie)));
  assert.deepEqual(
    pages.map(({ status }) => status),
    [200, 200, 200, 200, 200],
  );
  assert.equal(id.forms.filter((form) => form.get("grant_type") === "refresh_token").length, 1);
  assert.equal(((await pages[0].json()) as Record<string, string>)["x-role"], "owner");
  const renewed = pages.flatMap(({ headers }) => headers.getSetCookie())[0];
  assert.match(renewed, /^weft_session=/);
  id.expiresIn = 0;
  const again = new Browser(world);
  const more = await beginLogin(again, id, "/");
  await again.get(`/oauth2/callback?code=c&state=${more.get("state")}`);
  id.refuse = "invalid_grant";
  assert.equal((await again.get("/", "*/*")).status, 401);
  assert.ok(!again.jar.has("weft_session"));
});

test("logout takes the cookie away and goes to the provider's end of session", async (t) => {
  const id = await startProvider(t);
  const world = await startSecured(t, shop(id, { afterLogout: "/bye" }));
  const browser = new Browser(world);
  const said = await beginLogin(browser, id, "/");
  await browser.get(`/oauth2/callback?code=c&state=${said.get("state")}`);
  assert.equal((await browser.get("/")).status, 200);
  const out = await browser.get("/oauth2/logout");
  assert.equal(out.status, 302);
  const location = new URL(out.headers.get("location") ?? "");
  assert.equal(location.pathname, "/end");
  assert.equal(location.searchParams.get("post_logout_redirect_uri"), `${world.url}/bye`);
  assert.equal(browser.jar.size, 0);
  assert.equal((await browser.get("/", "*/*")).status, 401);
});

test("a return address never leaves the site", async (t) => {
  const id = await startProvider(t);
  const world = await startSecured(t, shop(id));
  const browser = new Browser(world);
  const said = await beginLogin(browser, id, `${world.url}//evil.example/x`);
  const back = await browser.get(`/oauth2/callback?code=c&state=${said.get("state")}`);
  assert.equal(back.headers.get("location"), "/");
});

test("a provider out of reach is not the caller's fault", async (t) => {
  const id = await startProvider(t);
  id.serve = (_request, response) => response.writeHead(500).end();
  const world = await startSecured(t, shop(id));
  assert.equal((await new Browser(world).get("/")).status, 503);
  assert.match(world.problems.join(), /oidc:web: .*openid-configuration/);
});
