import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectHttp2, type IncomingHttpHeaders } from "node:http2";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { connect } from "weftmesh";
import { Counter } from "../examples/counter/gen/counter/v1/counter.ts";
import { CA_CERT, PLAIN_CERT, SERVER_CERT, SERVER_KEY } from "../src/net/certificates.case.ts";
import { RunningSystem } from "./running-system.ts";

const ROOT = join(import.meta.dirname, "..");
const HELLO = "Hello, Counter Service!";

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "weft-tls-"));
  t.after(() => rmSync(dir, { recursive: true, force: true, maxRetries: 10 }));
  for (const [name, text] of Object.entries({ cert: SERVER_CERT, key: SERVER_KEY, ca: CA_CERT, other: PLAIN_CERT }))
    writeFileSync(join(dir, `${name}.pem`), text);
  return dir;
}

/** Starts a program and waits for the URL in the first line that it prints. */
async function start(t: TestContext, ...args: string[]): Promise<URL> {
  const env = { ...process.env, PORT: "0" };
  const stdio = ["ignore", "pipe", "inherit"] as ["ignore", "pipe", "inherit"];
  const child = spawn(process.execPath, ["-C", "weft-source", ...args], { cwd: ROOT, env, stdio });
  t.after(() => child.kill("SIGKILL"));
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  return new URL(/https?:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0] ?? assert.fail(line));
}

/** As curl does it over HTTP/1.1: the certificate is checked against the authority. */
async function overHttp1(url: URL): Promise<string> {
  const request = get(new URL("/counter", url), { ca: CA_CERT, agent: false });
  const [response] = await once(request, "response");
  assert.equal(response.httpVersion, "1.1");
  return (await response.setEncoding("utf8").toArray()).join("");
}

async function overHttp2(url: URL): Promise<string> {
  const session = connectHttp2(url, { ca: CA_CERT });
  try {
    const stream = session.request({ ":path": "/counter" });
    const [headers] = (await once(stream, "response")) as [IncomingHttpHeaders];
    assert.equal(headers[":status"], 200);
    assert.equal(session.alpnProtocol, "h2");
    return (await stream.setEncoding("utf8").toArray()).join("");
  } finally {
    session.close();
  }
}

test("weft proxy serves TLS by ALPN and speaks TLS with its endpoints", { timeout: 120_000 }, async (t) => {
  const dir = folder(t);
  const at = (name: string) => join(dir, `${name}.pem`);
  const listen = ["src/cli/main.ts", "proxy", "--listen", "127.0.0.1:0"];
  const tls = ["--tls-cert", at("cert"), "--tls-key", at("key")];
  const counter = await start(t, "examples/counter/server.ts");

  const front = await start(t, ...listen, "--to", counter.host, "--h2", ...tls);
  assert.equal(front.protocol, "https:");
  assert.equal(await overHttp1(front), HELLO);
  assert.equal(await overHttp2(front), HELLO);
  const secure = { ca: CA_CERT };
  assert.equal((await connect(Counter, { address: front.host, tls: secure }).count({ count: 1n })).count, 2n);

  // The upstream of this one is the proxy before it: TLS on both sides.
  const behind = await start(t, ...listen, "--to", front.host, "--to-tls", "--to-ca", at("ca"));
  assert.equal(behind.protocol, "http:");
  assert.equal(await (await fetch(new URL("/counter", behind))).text(), HELLO);
  assert.equal((await connect(Counter, { address: behind.host }).count({ count: 5n })).count, 6n);

  await t.test("an endpoint that is not trusted is not spoken with", async () => {
    const wary = await start(t, ...listen, "--to", front.host, "--to-ca", at("other"));
    const response = await fetch(new URL("/counter", wary));
    assert.equal(response.status, 503);
    assert.doesNotMatch(await response.text(), /Hello/);
  });
});

test("a system's gateway serves TLS", { timeout: 120_000 }, async (t) => {
  const dir = folder(t);
  const run = join(ROOT, "examples", "counter", "server.ts");
  const gateway = "gateway: { tls: { cert: cert.pem, key: key.pem } }";
  writeFileSync(join(dir, "weft.yaml"), `name: secure\nservices: { counter: { run: ${run} } }\n${gateway}\n`);
  const system = new RunningSystem(t, dir);
  const url = new URL(await system.ready());
  assert.equal(url.protocol, "https:");
  assert.equal(await overHttp1(url), HELLO);
  assert.equal(await overHttp2(url), HELLO);
  system.child.kill("SIGTERM");
  assert.deepEqual(await system.exit, { status: 0, signal: null });
});
