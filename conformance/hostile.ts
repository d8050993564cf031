import { readdirSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { seededRandom } from "../src/core/random.ts";
import { withCounter } from "./counter.ts";
import type { Case, Suite } from "./suite.ts";

/** Malformed input of every kind at the service's port. */
export const hostile: Suite = {
  name: "hostile",
  run: () => withCounter((port, child) => hostileCases(port, child.pid as number)),
};

/** The cases against whatever answers for the counter on `port` as process `pid`. */
export async function hostileCases(port: number, pid: number): Promise<Case[]> {
  const answers = async () => {
    const answer = await rest(port, { path: "/counter" });
    return answer.status === 200 && answer.body.startsWith("Hello, Counter Service!");
  };
  const cases = await hostileBytes(port, pid, answers);
  const check = (name: string, ok: boolean, detail: unknown) =>
    cases.push({ name, ok, detail: JSON.stringify(detail) });
  const badChunk = await raw(port, Buffer.from(BAD_CHUNK));
  check(
    "a bad chunk size: 400, and the connection closes",
    badChunk.startsWith("HTTP/1.1 400 "),
    badChunk.slice(0, 120),
  );
  for (const [name, options, status, wanted] of REQUESTS) {
    const answer = await rest(port, options);
    check(`${name}: ${status}`, answer.status === status && wanted.test(answer.body), answer);
  }
  for (const [name, path, fields, body, status] of GRPC) {
    const answer = await grpc(port, path, fields, body);
    const said = status.test(`${answer[":status"]} grpc ${answer["grpc-status"]}`);
    check(
      `${name}: ${status}`,
      said && (answer["grpc-status"] === undefined || answer["grpc-message"] !== undefined),
      answer,
    );
  }
  check("after all of it: it still answers", await answers(), "");
  return cases;
}

/** What needs no knowledge of what a port serves: malformed HTTP, noise, frames cut anywhere. `answers` says whether it still works. */
export async function hostileBytes(port: number, pid: number, answers: () => Promise<boolean>): Promise<Case[]> {
  const cases: Case[] = [];
  await answers();
  const descriptors = openDescriptors(pid);
  for (const [name, text, status] of RAW) {
    const answer = await raw(port, Buffer.from(text, "latin1"));
    const ok = answer.startsWith(`HTTP/1.1 ${status} `);
    cases.push({ name: `${name}: ${status}, and the connection closes`, ok, detail: answer.slice(0, 120) });
  }
  const random = seededRandom(11);
  for (let i = 0; i < 200; i++) {
    const bytes = Array.from({ length: 1 + Math.floor(random.next() * 2_000) }, () => Math.floor(random.next() * 256));
    await raw(port, Buffer.concat([i % 3 === 0 ? PREFACE : Buffer.alloc(0), Buffer.from(bytes)]), 50);
  }
  for (let cut = 1; cut < TRUNCATED.length; cut++) await raw(port, TRUNCATED.subarray(0, cut), 5);
  cases.push({ name: "random bytes and truncated frames: it still answers", ok: await answers() });
  let left = openDescriptors(pid);
  for (
    const end = performance.now() + 6_000;
    left > descriptors + 5 && performance.now() < end;
    left = openDescriptors(pid)
  )
    await new Promise((resolve) => setTimeout(resolve, 50));
  cases.push({
    name: "no connection is left behind",
    ok: left <= descriptors + 5,
    detail: `${descriptors} descriptors before, ${left} after`,
  });
  return cases;
}

const RAW: readonly (readonly [name: string, text: string, status: number])[] = [
  ["a field name with a space", "GET / HTTP/1.1\r\nhost: a\r\nbad name: x\r\n\r\n", 400],
  ["no Host", "GET / HTTP/1.1\r\n\r\n", 400],
  ["two Hosts", "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400],
  [
    "both lengths",
    "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    400,
  ],
  ["two different lengths", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd", 400],
  ["a folded field", "GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n 2\r\n\r\n", 400],
  ["a bare CR", "GET / HTTP/1.1\r\nhost: a\rb\r\n\r\n", 400],
  ["a NUL in a field", "GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n", 400],
  ["an unknown version", "GET / HTTP/3.7\r\nhost: a\r\n\r\n", 505],
  ["an oversized head", `GET / HTTP/1.1\r\nhost: a\r\nx: ${"y".repeat(100_000)}\r\n\r\n`, 431],
  ["an oversized target", `GET /${"y".repeat(100_000)} HTTP/1.1\r\nhost: a\r\n\r\n`, 414],
];

/** Known to be wrong only by who reads the body. */
const BAD_CHUNK =
  "POST /v1/counter:count HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";

type RestOptions = { method?: string; path: string; headers?: Record<string, string>; body?: string | Buffer };
const JSON_BODY = { "content-type": "application/json" };
const REQUESTS: readonly (readonly [name: string, options: RestOptions, status: number, body: RegExp])[] = [
  ["an unknown path", { path: "/nowhere" }, 404, /reason/],
  ["a method that the path does not know", { method: "DELETE", path: "/counter" }, 405, /reason/],
  ["bad JSON", { method: "POST", path: "/v1/counter:count", headers: JSON_BODY, body: '{"count": ' }, 400, /reason/],
  [
    "a JSON field of the wrong type",
    { method: "POST", path: "/v1/counter:count", headers: JSON_BODY, body: '{"count": "many"}' },
    400,
    /count/,
  ],
  [
    "an unknown JSON field",
    { method: "POST", path: "/v1/counter:count", headers: JSON_BODY, body: '{"cuont": "1"}' },
    400,
    /cuont/,
  ],
  [
    "invalid UTF-8 in JSON",
    {
      method: "POST",
      path: "/v1/counter:count",
      headers: JSON_BODY,
      body: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
    },
    400,
    /reason/,
  ],
  [
    "a wrong content type",
    { method: "POST", path: "/v1/counter:count", headers: { "content-type": "text/plain" }, body: "{}" },
    415,
    /reason/,
  ],
  [
    "a body over the limit",
    { method: "POST", path: "/v1/counter:count", headers: JSON_BODY, body: Buffer.alloc(5_000_000, 0x20) },
    413,
    /reason/,
  ],
];

const FRAMED = Buffer.from([0, 0, 0, 0, 2, 8, 1]);
const GRPC: readonly (readonly [
  name: string,
  path: string,
  fields: Record<string, string>,
  body: Buffer,
  status: RegExp,
])[] = [
  ["an unknown gRPC method", "/counter.v1.Counter/Nothing", {}, FRAMED, /^200 grpc 12$/],
  ["an unknown gRPC service", "/nothing.v1.Nothing/Nothing", {}, FRAMED, /^200 grpc 12$/],
  [
    "a content type that is not gRPC's",
    "/counter.v1.Counter/Count",
    { "content-type": "application/grpcx" },
    FRAMED,
    /^(415|404) grpc undefined$/,
  ],
  [
    "a malformed message",
    "/counter.v1.Counter/Count",
    {},
    Buffer.from([0, 0, 0, 0, 2, 0xff, 0xff]),
    /^200 grpc (3|13)$/,
  ],
  ["a truncated message", "/counter.v1.Counter/Count", {}, Buffer.from([0, 0, 0, 0, 9, 8]), /^200 grpc (3|13)$/],
  [
    "a message that claims 4 GB",
    "/counter.v1.Counter/Count",
    {},
    Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 8]),
    /^200 grpc 8$/,
  ],
  [
    "an unknown compression flag",
    "/counter.v1.Counter/Count",
    {},
    Buffer.from([7, 0, 0, 0, 2, 8, 1]),
    /^200 grpc (3|13)$/,
  ],
  ["a malformed timeout", "/counter.v1.Counter/Count", { "grpc-timeout": "soon" }, FRAMED, /^200 grpc (3|13|0)$/],
];

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
/** The preface, SETTINGS, and a HEADERS frame: cut at every byte. */
const TRUNCATED = Buffer.concat([
  PREFACE,
  Buffer.from("000000040000000000", "hex"),
  Buffer.from("00000301050000000182868400", "hex"),
]);

/** What comes back on a connection of its own until it closes, or until `waitMs` without more. */
export function raw(port: number, bytes: Buffer, waitMs = 10_000): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes));
    socket.setTimeout(waitMs, () => socket.destroy());
    socket.on("data", (chunk) => (answer += chunk.toString("latin1")));
    socket.on("error", () => {});
    socket.on("close", () => resolve(answer));
  });
}

export function rest(port: number, options: RestOptions): Promise<{ status: number; body: string }> {
  return new Promise((resolve) => {
    const { method = "GET", path, headers = {}, body } = options;
    const request = httpRequest(
      {
        port,
        host: "127.0.0.1",
        method,
        path,
        agent: false,
        headers: { ...headers, ...(body === undefined ? {} : { "content-length": `${Buffer.byteLength(body)}` }) },
      },
      (response) => {
        let text = "";
        response
          .on("data", (chunk) => (text += chunk))
          .on("error", () => resolve({ status: response.statusCode ?? 0, body: text }));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
      },
    );
    request.on("error", (error) => resolve({ status: 0, body: String(error) }));
    request.end(body);
  });
}

function grpc(
  port: number,
  path: string,
  fields: Record<string, string>,
  body: Buffer,
): Promise<Record<string, unknown>> {
  return new Promise((resolve) => {
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    let seen: Record<string, unknown> = {};
    const done = () => {
      session.destroy();
      resolve(seen);
    };
    session.on("error", done);
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      ...fields,
    });
    stream.on("response", (headers) => (seen = { ...seen, ...headers }));
    stream.on("trailers", (headers) => (seen = { ...seen, ...headers }));
    stream.on("data", () => {}).on("error", () => {});
    stream.on("close", done);
    stream.end(body);
  });
}

function openDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}
