import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { EXIT } from "./exit-status.ts";
import { weft } from "./weft.case.ts";

function files(t: TestContext, contents: Readonly<Record<string, string>>): string {
  const dir = mkdtempSync(join(tmpdir(), "weft-check-"));
  t.after(() => rmSync(dir, { recursive: true }));
  for (const [name, text] of Object.entries(contents)) writeFileSync(join(dir, name), text);
  return dir;
}

const policy = (name: string, spec: string): string =>
  `apiVersion: weftmesh.dev/v1\nkind: TrafficPolicy\nmetadata: { name: ${name} }\nspec:\n${spec}`;

test("the shop is clean", async () => {
  const { status, stdout } = await weft("check", "examples/shop", "--strict");
  assert.equal(status, EXIT.ok, stdout);
  assert.doesNotMatch(stdout, /warning|error/);
  assert.match(
    stdout,
    /^examples\/shop\/weft\.config\.ts:\d+:\d+ services\.orders\.needs: note: worst retry amplification: 9 attempts/m,
  );
});

test("findings have file, line, column, id and what to do; errors fail, warnings only when asked", async (t) => {
  const dir = files(t, {
    "a.yaml": policy("a", "  targetRefs: [{ kind: Service, name: x }]\n  timeout: 1s\n"),
    "b.yaml": policy("b", "  targetRefs: [{ kind: Service, name: x }]\n  timeout: 2s\n  fallback: { status: 202 }\n"),
  });
  const lenient = await weft("check", dir);
  assert.equal(lenient.status, EXIT.ok);
  assert.match(
    lenient.stdout,
    /b\.yaml:6:12 spec\.timeout: warning: timeout of Service x .* \[policy-conflict\]\n {2}write it in one of the two\n/,
  );
  assert.match(lenient.stdout, /\n1 warning\n$/);
  assert.equal((await weft("check", dir, "--strict")).status, EXIT.failed);
  const strict = (await weft("check", dir, "--strict")).stdout;
  assert.match(strict, /b\.yaml:7:13 spec\.fallback: note: .*\(fallback-as-message\) \[differs-by-place\]/);
  const envoy = await weft("check", join(dir, "b.yaml"), "--for", "envoy", "--json");
  assert.equal(envoy.status, EXIT.failed);
  const { findings, errors } = JSON.parse(envoy.stdout);
  assert.equal(errors, 1);
  assert.deepEqual([findings[0].id, findings[0].place.line], ["not-enforced", 7]);
});

test("what is wrong in a description or cannot be read as YAML is a finding, too; as SARIF as well", async (t) => {
  const system = files(t, { "weft.yaml": "name: shop\nservices: { users: { run: users.ts } }\npolices: []\n" });
  const wrong = await weft("check", system);
  assert.equal(wrong.status, EXIT.failed);
  assert.match(
    wrong.stdout,
    /weft\.yaml:3:\d+ polices: error: unknown field; did you mean "policies"\? \[invalid-resource\]/,
  );
  const broken = await weft("check", join(files(t, { "x.yaml": "kind: [" }), "x.yaml"), "--format", "sarif");
  assert.equal(broken.status, EXIT.failed);
  assert.equal(JSON.parse(broken.stdout).runs[0].results[0].level, "error");
});

test("a file that is not there is an error, not a finding", async () => {
  const { status, stderr } = await weft("check", "nothing-here.yaml");
  assert.equal(status, EXIT.failed);
  assert.match(stderr, /no such file/);
});
