import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { VirtualClock } from "../../core/clock.ts";
import { WeftError } from "../../core/errors.ts";
import { registryCases } from "../../registry/registry.case.ts";
import { parseEndpointFile } from "./endpoint-file.ts";
import { openStaticRegistry } from "./static-registry.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-static-"));
after(() => rmSync(folder, { recursive: true }));
let files = 0;

function fileOf(text: string): string {
  const file = join(folder, `${files++}.yaml`);
  writeFileSync(file, text);
  return file;
}

registryCases("static", async () => {
  const clock = new VirtualClock();
  const file = fileOf("services: {}");
  return { open: (mode) => openStaticRegistry({ file, clock, mode }), pass: async (ms) => clock.advance(ms) };
});

test("a file lists endpoints in a short and a long form", () => {
  const endpoints = parseEndpointFile(
    `services:
  payments:
    - 10.0.0.6:9001
    - { address: "[::1]:9002", id: pay-2, version: v2, zone: eu-1, weight: 2, protocol: h2, metadata: { rack: "7" } }
`,
    "e.yaml",
  );
  assert.equal(endpoints[0].id, "payments/10.0.0.6:9001");
  assert.deepEqual(endpoints[1], {
    id: "pay-2",
    service: "payments",
    host: "::1",
    port: 9002,
    version: "v2",
    zone: "eu-1",
    weight: 2,
    protocol: "h2",
    health: "healthy",
    metadata: { rack: "7" },
  });
  assert.equal(parseEndpointFile('{"services": {"a": ["h:1"]}}', "e.json").length, 1);
  assert.deepEqual(parseEndpointFile("", "e.yaml"), []);
});

test("errors name file, line and field", () => {
  const bad: [string, number, RegExp][] = [
    ["services:\n  a:\n    - nonsense\n", 3, /services\.a\[0\]\.address/],
    ["services:\n  a:\n    - h:1\n    - h:1\n", 4, /id "a\/h:1" is taken/],
    ["services:\n  a:\n    - { address: 'h:1', wieght: 2 }\n", 3, /wieght/],
    ["services:\n  a:\n    - h:70000\n", 3, /port/],
    ["servces: {}\n", 1, /servces/],
    ["services:\n  A:\n    - h:1\n", 3, /DNS label/],
    ["services: [\n", 2, /./],
    ["services:\n  a: 3\n", 2, /list/],
  ];
  for (const [text, line, message] of bad) {
    assert.throws(
      () => parseEndpointFile(text, "e.yaml"),
      (thrown) => {
        assert.ok(thrown instanceof WeftError);
        assert.match(thrown.message, message);
        assert.equal(thrown.place?.line, line, thrown.message);
        return thrown.place?.file === "e.yaml";
      },
    );
  }
});

test("an edit is taken over, a bad one reported while the last good state stays", async () => {
  const file = fileOf("services: { a: [ 'h:1', 'h:2' ] }");
  const errors: WeftError[] = [];
  let reloads = 0;
  const registry = await openStaticRegistry({
    file,
    clock: new VirtualClock(),
    onError: (error) => errors.push(error),
    onReload: () => reloads++,
  });
  const edit = async (text: string, done: () => boolean) => {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
    for (const end = performance.now() + 5_000; !done(); ) {
      assert.ok(performance.now() < end, "the edit was not noticed");
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };
  const ports = async () => (await registry.query(["a"])).endpoints.map((endpoint) => endpoint.port).sort();
  assert.deepEqual(await ports(), [1, 2]);
  await registry.setHealth("a/h:2", "unhealthy", "refused", "check");
  await edit("services: { a: [ 'h:2', 'h:3' ] }", () => reloads === 1);
  assert.deepEqual(await ports(), [2, 3]);
  assert.equal((await registry.query(["a"])).endpoints.find((endpoint) => endpoint.port === 2)?.health, "unhealthy");
  await edit("services: { a: [ nonsense ] }", () => errors.length === 1);
  assert.deepEqual(await ports(), [2, 3]);
  assert.match(errors[0].message, /services\.a\[0\]/);
  await edit("services: { a: [ 'h:4' ] }", () => reloads === 2);
  assert.deepEqual(await ports(), [4]);
  await registry.close();
});

test("what the file lists cannot be registered over, and never expires", async () => {
  const clock = new VirtualClock();
  const registry = await openStaticRegistry({ file: fileOf("services: { a: [ 'h:1' ] }"), clock });
  const [listed] = (await registry.query(["a"])).endpoints;
  await assert.rejects(registry.register(listed, 1_000), { code: "already_exists", reason: "ENDPOINT_LISTED" });
  clock.advance(10_000_000);
  assert.equal((await registry.query(["a"])).endpoints.length, 1);
  await registry.close();
  await assert.rejects(openStaticRegistry({ file: join(folder, "none.yaml") }), { reason: "ENDPOINT_FILE_UNREADABLE" });
});
