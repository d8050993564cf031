import { execFile } from "node:child_process";
import { withCounter } from "./counter.ts";
import type { Case, Suite } from "./suite.ts";
import { tool } from "./tools.ts";

/** grpcurl against examples/counter: reflection, unary and every kind of stream. */
export const grpcurl: Suite = {
  name: "grpcurl",
  tools: ["grpcurl"],
  run: () => withCounter((port) => grpcurlCases(port)),
};

/** The cases, against whatever serves counter.v1.Counter on `port` (the service itself, or the gateway in front of it). */
export async function grpcurlCases(port: number): Promise<Case[]> {
  const at = `127.0.0.1:${port}`;
  const cases: Case[] = [];
  const expect = async (name: string, args: readonly string[], wanted: RegExp) => {
    const output = await grpcurlOutput(args);
    cases.push({ name, ok: wanted.test(output), detail: output.slice(0, 400) });
  };
  await expect("lists services by reflection", ["-plaintext", at, "list"], /^counter\.v1\.Counter$/m);
  await expect(
    "describes the service by reflection",
    ["-plaintext", at, "describe", "counter.v1.Counter"],
    /rpc Chat \( stream .*ChatRequest \) returns \( stream .*ChatResponse \)/,
  );
  await expect(
    "calls a unary method",
    ["-plaintext", "-d", '{"count":"41"}', at, "counter.v1.Counter/Count"],
    /"count": "42"/,
  );
  await expect(
    "reads a server stream",
    ["-plaintext", "-d", '{"from":"5","limit":3}', at, "counter.v1.Counter/Watch"],
    /"5"[\s\S]*"6"[\s\S]*"7"/,
  );
  await expect(
    "writes a client stream",
    ["-plaintext", "-d", '{"count":"1"}{"count":"2"}{"count":"3"}', at, "counter.v1.Counter/Sum"],
    /"sum": "6"/,
  );
  await expect(
    "talks on a bidirectional stream",
    ["-plaintext", "-d", '{"text":"a"}{"text":"b"}', at, "counter.v1.Counter/Chat"],
    /"text"[\s\S]*"text"/,
  );
  await expect(
    "is told of an unknown method",
    ["-plaintext", "-d", "{}", at, "counter.v1.Counter/Nothing"],
    /does not include a method named "Nothing"|Unimplemented/,
  );
  return cases;
}

function grpcurlOutput(args: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile(tool("grpcurl"), ["-max-time", "10", ...args], { timeout: 20_000 }, (_error, stdout, stderr) =>
      resolve(stdout + stderr),
    );
  });
}
