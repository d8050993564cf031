import assert from "node:assert/strict";
import { test } from "node:test";
import { readOptions } from "./option-spec.ts";
import { createProgram } from "./program.ts";
import { SIDECAR_OPTIONS } from "./sidecar-options.ts";
import type { Terminal } from "./terminal.ts";

/** The flags as commander reads them. Throws for what it refuses. */
function parsed(args: string[]): object {
  const silent = { out() {}, err() {}, errColor: { red: String } } as unknown as Terminal;
  const command = createProgram(silent, () => {}).commands.find((one) => one.name() === "sidecar");
  assert.ok(command !== undefined);
  command.exitOverride().action(() => {});
  return command.parse(args, { from: "user" }).opts();
}

const LEAST = ["--service", "orders", "--app", "3000", "--control", "7070"];
const MORE = [
  ["--listen", "0.0.0.0:15006", "--outbound", "127.0.0.1:15001", "--admin", "0", "--drain", "0", "--egress", "mesh"],
  ["--health", "http:/healthz", "--app-protocol", "h2c", "--service-version", "v2", "--instance", "orders-1"],
  ["--dns", "127.0.0.1:0", "--virtual", "127.90.0.0/16", "--virtual-ports", "80,50051", "--resolver", "none"],
  ["--transparent", "15001", "--gid", "1337", "--access-log", "all", "--state-file", "state.json"],
];

test("well-formed arguments are read as the command line's parser reads them", () => {
  for (const more of [[], ...MORE, MORE.flat()]) {
    const args = [...LEAST, ...more];
    assert.deepEqual(readOptions(SIDECAR_OPTIONS, args, process.env), parsed(args));
  }
});

test("variables stand in for arguments, and arguments come first", (t) => {
  const variables = { WEFT_SERVICE: "orders", WEFT_CONTROL: "10.0.0.1:7070", WEFT_VERSION: "v1", WEFT_STATE_FILE: "x" };
  for (const [name, value] of Object.entries(variables)) process.env[name] = value;
  t.after(() => {
    for (const name of Object.keys(variables)) delete process.env[name];
  });
  for (const args of [
    ["--app", "3000"],
    [...LEAST, "--service-version", "v2"],
  ])
    assert.deepEqual(readOptions(SIDECAR_OPTIONS, args, process.env), parsed(args));
});

test("what the parser has to judge is left to it", () => {
  for (const args of [
    [],
    ["--help"],
    [...LEAST, "--help"],
    [...LEAST, "--what", "else"],
    [...LEAST, "--service", "products"],
    [...LEAST, "--service-version"],
    [...LEAST, "--instance", "--json"],
    [...LEAST, "--app-protocol", "http3"],
    [...LEAST, "--drain", "soon"],
    [...LEAST, "--drain=5"],
    [...LEAST, "more", "than"],
    ["--service", "orders", "--app", "3000"],
  ])
    assert.equal(readOptions(SIDECAR_OPTIONS, args, {}), null, args.join(" "));
});
