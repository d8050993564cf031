import assert from "node:assert/strict";
import { test } from "node:test";
import { route } from "../policy/builders.ts";
import { startSecured } from "./secured.case.ts";

test("the gateway answers preflights, lets pages read answers and errors, and keeps sessions by a cookie", async (t) => {
  const cors = { allowOrigins: ["https://*.shop.example"], allowMethods: ["PUT"], allowCredentials: true };
  const world = await startSecured(t, [
    ...route("/api").to("shop").cors(cors).sticky({ name: "s" }).resources(),
    ...route("/gone").to("nobody").cors(cors).resources(),
    ...route("/moved")
      .redirect({ path: { type: "ReplaceFullPath", replaceFullPath: "/api" } })
      .cors(cors)
      .resources(),
  ]);
  const origin = "https://www.shop.example";
  const ask = { origin, "access-control-request-method": "PUT" };
  const preflight = await fetch(`${world.url}/api/x`, { method: "OPTIONS", headers: ask });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers.get("access-control-allow-origin"), origin);
  assert.equal(preflight.headers.get("access-control-allow-methods"), "PUT");
  assert.equal(await preflight.text(), "");
  const refused = await fetch(`${world.url}/api/x`, {
    method: "OPTIONS",
    headers: { ...ask, origin: "https://x.example" },
  });
  assert.equal(refused.status, 403);
  assert.equal(refused.headers.get("access-control-allow-origin"), null);

  const answer = await fetch(`${world.url}/api/x`, { headers: { origin } });
  assert.equal(answer.headers.get("access-control-allow-origin"), origin);
  assert.equal(answer.headers.get("access-control-allow-credentials"), "true");
  assert.equal(answer.headers.get("vary"), "origin");
  const [cookie] = answer.headers.getSetCookie();
  assert.match(cookie, /^s=[0-9a-z.]+; Path=\/api; HttpOnly; SameSite=Lax$/);
  const again = await fetch(`${world.url}/api/x`, { headers: { cookie: cookie.split(";")[0] } });
  assert.deepEqual(again.headers.getSetCookie(), []);
  const gone = await fetch(`${world.url}/gone`, { headers: { origin } });
  assert.equal(gone.status, 503);
  assert.equal(gone.headers.get("access-control-allow-origin"), origin);
  const moved = await fetch(`${world.url}/moved`, { headers: { origin }, redirect: "manual" });
  assert.equal(moved.status, 302);
  assert.equal(moved.headers.get("access-control-allow-origin"), origin);
  assert.match(moved.headers.get("location") ?? "", /^http:\/\/127\.0\.0\.1:\d+\/api$/);
});
