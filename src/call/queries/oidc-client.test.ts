import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../../core/clock.ts";
import { JwksCache } from "./jwks.ts";
import { OidcClient } from "./oidc-client.ts";
import { Secrets } from "./secrets.ts";
import { TokenVerifier } from "./token-query.ts";

function provider() {
  const clock = new VirtualClock();
  const state = { fetches: 0, answers: "down" as "down" | "well" | "null" };
  const document = {
    issuer: "https://id",
    authorization_endpoint: "https://id/auth",
    token_endpoint: "https://id/token",
    jwks_uri: "https://id/keys",
  };
  const fetch = async (): Promise<Response> => {
    state.fetches++;
    if (state.answers === "down") throw new TypeError("fetch failed");
    return Response.json(state.answers === "null" ? null : document);
  };
  const secrets = new Secrets(clock, {}, () => {});
  const tokens = new TokenVerifier(new JwksCache(clock, fetch, secrets, () => {}), secrets, () => {});
  const client = new OidcClient(clock, fetch, secrets, tokens);
  const discover = () => client.discover({ issuer: "https://id", clientId: "shop", cookieKeys: [] });
  return { clock, state, discover };
}

test("logins while a provider is down do not become as many requests to it", async () => {
  const { clock, state, discover } = provider();
  await Promise.allSettled(Array.from({ length: 50 }, discover));
  for (let i = 0; i < 50; i++) await assert.rejects(discover());
  assert.equal(state.fetches, 1);
  state.answers = "well";
  clock.advance(5_000);
  const found = await Promise.all(Array.from({ length: 50 }, discover));
  assert.equal(found.at(-1)?.token_endpoint, "https://id/token");
  assert.equal(state.fetches, 2);
  state.answers = "down";
  clock.advance(3_600_000);
  for (let i = 0; i < 50; i++) assert.equal((await discover()).issuer, "https://id", "what is known stays in use");
  assert.equal(state.fetches, 3);
});

test("a document that is none is refused in words", async () => {
  const { state, discover } = provider();
  state.answers = "null";
  await assert.rejects(discover(), /is of another issuer/);
});
