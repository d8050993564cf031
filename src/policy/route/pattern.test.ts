import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import fc from "fast-check";
import { compilePattern, MAX_TEXT, patternProblem } from "./pattern.ts";

test("the whole text must match, with letter case", () => {
  assert.ok(compilePattern("/v[0-9]+").matches("/v12"));
  assert.ok(!compilePattern("/v[0-9]+").matches("/v12/orders"));
  assert.ok(!compilePattern("v[0-9]+").matches("/v12"));
  assert.ok(compilePattern("a|ab").matches("ab"));
  assert.ok(!compilePattern("/A").matches("/a"));
  assert.ok(compilePattern("(?i)/A").matches("/a"));
  assert.ok(compilePattern("^/a$").matches("/a"));
});

test("the engine is loaded with the first pattern, not before", () => {
  const seen = `
    import { createRequire } from "node:module";
    import { route } from ${JSON.stringify(new URL("../builders.ts", import.meta.url).href)};
    import { createPolicyRuntime } from ${JSON.stringify(new URL("../snapshot/create-runtime.ts", import.meta.url).href)};
    const loaded = () => Object.keys(createRequire(import.meta.url).cache).some((file) => file.includes("re2js"));
    const runtime = createPolicyRuntime();
    runtime.applyResources(1, route("/a").header("x", "y").to("b").resources(), []);
    const before = loaded();
    runtime.applyResources(2, route("/a").header("x", { matches: "y" }).to("b").resources(), []);
    console.log(before, loaded());
  `;
  const { stdout, stderr } = spawnSync(process.execPath, ["-C", "weft-source", "--input-type=module", "-e", seen], {
    encoding: "utf8",
  });
  assert.equal(stdout, "false true\n", stderr);
});

test("what is no regular expression of RE2 is refused with the reason", () => {
  assert.match(patternProblem("(a"), /missing closing \)/);
  assert.match(patternProblem("(?=a)"), /invalid or unsupported/);
  assert.match(patternProblem("(a)\\1"), /invalid escape/);
  assert.match(patternProblem("a".repeat(2_000)), /longer than 1024/);
  assert.match(patternProblem("((a|b)?){300}"), /instructions; at most 1024/);
  assert.equal(patternProblem("[a-z]{1,63}"), "");
});

test("a long text does not match, and what would take a backtracking engine for ever is answered at once", () => {
  assert.ok(!compilePattern("a*").matches("a".repeat(MAX_TEXT + 1)));
  const started = process.cpuUsage();
  assert.ok(!compilePattern("(a*)*b").matches("a".repeat(MAX_TEXT)));
  assert.ok(process.cpuUsage(started).user < 1_000_000);
});

test("agrees with JavaScript's engine where both know the syntax", () => {
  const part = fc.constantFrom("a", "b", "/", "[ab]", "a?", "b*", "(a|b)", "\\.", ".", "a+", "(?:ab)?", "x{2}", "-");
  const source = fc.array(part, { maxLength: 6 }).map((parts) => parts.join(""));
  const text = fc.array(fc.constantFrom("a", "b", "/", ".", "x", "-"), { maxLength: 8 }).map((parts) => parts.join(""));
  fc.assert(
    fc.property(source, text, (expression, subject) => {
      const own = new RegExp(`^(?:${expression})$`).test(subject);
      assert.equal(compilePattern(expression).matches(subject), own);
    }),
    { numRuns: 300 },
  );
});

test("a character beyond a byte is refused, which a stock Envoy would refuse all its routes for", () => {
  assert.match(patternProblem("/a\\x{10FFFF}"), /beyond \\xFF/);
  assert.match(patternProblem("\\\\\\x{0100}"), /beyond \\xFF/);
  for (const fine of ["/\\x{ff}", "/\\x{00FF}", "/\\\\x{100}", "/\\xe9"]) assert.equal(patternProblem(fine), "", fine);
});
