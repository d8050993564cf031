import assert from "node:assert/strict";
import { request } from "node:http";
import test, { type TestContext } from "node:test";
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from "../../src/control/control-plane.ts";
import { createMemoryRegistry } from "../../src/drivers/memory/memory-registry.ts";

/** As `weft control` without a data folder: nobody on the machine shows anything. */
async function open(t: TestContext, options: Partial<ControlPlaneOptions> = {}): Promise<ControlPlane> {
  const plane = await startControlPlane({ registry: createMemoryRegistry(), consul: { port: 0 }, ...options });
  t.after(() => plane.stop());
  return plane;
}

function ask(
  { host, port }: { readonly host: string; readonly port: number },
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body = "",
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const call = request({ host, port, method, path, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part) => (text += part));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
    });
    call.on("error", reject).end(body);
  });
}

test("a web page in the operator's browser changes nothing and reads nothing, though nobody on the machine needs a token", async (t) => {
  const plane = await open(t);
  const consul = plane.consul ?? assert.fail();
  const service = JSON.stringify({ Name: "bank", Address: "10.6.6.6", Port: 80 });
  const revision = JSON.stringify({ resources: "", author: "page", reason: "why not" });
  const rebound = { host: "evil.example:7070" };
  const pages: Record<string, string>[] = [
    { origin: "http://evil.example" },
    { origin: "null" },
    { "sec-fetch-site": "cross-site" },
    rebound,
    { ...rebound, origin: "http://evil.example:7070", authorization: "Bearer weft-admin-000000000000.x" },
  ];
  for (const page of pages) {
    // What a browser sends without asking first: no content type (a Blob), or text.
    for (const type of [{}, { "content-type": "text/plain" }] as Record<string, string>[]) {
      for (const method of ["POST", "PUT"]) {
        const made = await ask(consul, method, "/v1/agent/service/register", { ...page, ...type }, service);
        assert.notEqual(made.status, 200, `${method} ${JSON.stringify(page)}: ${made.text}`);
      }
      for (const [path, body] of [
        ["/v1/revisions", revision],
        ["/v1/revisions/1:rollback", ""],
        ["/v1/tags/evil?revision=1", ""],
        ["/v1/endpoints", "{}"],
      ]) {
        const made = await ask(plane, "POST", path, { ...page, ...type }, body);
        assert.ok([403, 415].includes(made.status), `${path} ${JSON.stringify(page)}: ${made.status} ${made.text}`);
      }
    }
    for (const [at, path] of [
      [consul, "/v1/catalog/services"],
      [plane, "/v1/settings"],
    ] as const)
      assert.equal((await ask(at, "GET", path, page)).status, 403, `${path} ${JSON.stringify(page)}`);
  }
  assert.equal(
    (await ask(consul, "POST", "/v1/agent/service/register", {}, service)).status,
    501,
    "it is PUT, as with Consul",
  );
  assert.deepEqual(JSON.parse((await ask(consul, "GET", "/v1/catalog/services")).text), {});
  assert.equal((await ask(consul, "PUT", "/v1/agent/service/register", {}, service)).status, 200);
  assert.equal((await ask(plane, "POST", "/v1/revisions", { host: "localhost" }, revision)).status, 200);
});

test("a token in a url of Consul's API is not told when a request breaks something", async (t) => {
  const told: string[] = [];
  const plane = await open(t, { identity: { onEvent: (line) => told.push(line) } });
  const consul = plane.consul ?? assert.fail();
  const deep = `{"Name":"web","Port":80,"Odd":${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
  const refused = await ask(consul, "PUT", "/v1/agent/service/register?token=hunter2", {}, deep);
  assert.equal(refused.status, 400, refused.text);
  assert.doesNotMatch(told.join("\n"), /hunter2/);
});

test("who may only read cannot find out a sealed value by schemas that would be wrong for it", async (t) => {
  const plane = await open(t, {
    publishers: "operator",
    identity: { operatorToken: "an operator's token of this test" },
  });
  const schema = { jsonSchema: '{"properties":{"pin":{"maximum":5}}}' };
  const change = { namespace: "shop", schema };
  const body = JSON.stringify({ changes: [change], author: "reader", reason: "to see", validateOnly: true });
  const { status, text } = await ask(plane, "POST", "/v1/settings", { "content-type": "application/json" }, body);
  assert.equal(status, 401, text);
  const trial = JSON.stringify({ resources: "", author: "reader", reason: "to see", validateOnly: true });
  const tried = await ask(plane, "POST", "/v1/revisions", { "content-type": "application/json" }, trial);
  assert.equal(tried.status, 200, tried.text);
});

test("who publishes writes no lines of others into lists and logs", async (t) => {
  const plane = await open(t);
  const publish = (author: string, reason: string) =>
    ask(plane, "POST", "/v1/revisions", { "content-type": "application/json" }, JSON.stringify({ author, reason }));
  for (const [author, reason] of [
    ["ada\nrevision 9", "x"],
    ["\u001b[2Jada", "x"],
    ["ada", "x\u001b]0;title\u0007"],
    ["ada", "x\r"],
  ])
    assert.match((await publish(author, reason)).text, /BAD_TEXT/);
  assert.equal((await publish("ada", "first line\n\n\tsecond")).status, 200);
});
