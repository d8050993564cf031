import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { startControlPlane } from "../src/control/control-plane.ts";
import { createMemoryRegistry } from "../src/drivers/memory/memory-registry.ts";
import { createPolicyRuntime } from "../src/policy/snapshot/create-runtime.ts";
import { startGateway } from "../src/proxy/gateway.ts";

const root = join(import.meta.dirname, "..");
const pages = ["README.md", ...globSync("docs/**/*.md", { cwd: root })].map((file) => ({
  file,
  text: readFileSync(join(root, file), "utf8"),
}));
/** What looks like a metric and is none: a cookie, a table of nftables, the prefix of Envoy's own statistics. */
const OTHERS = new Set(["weft_session", "weft_intercept", "weft_audit_"]);
/** Pages of docs/policies/ about tools, which have no metrics. */
const TOOLS = new Set(["check.md", "explain.md", "replay.md"]);

/** Labels by name, of what a gateway and a control plane really register. */
async function registered(): Promise<Map<string, readonly string[]>> {
  const gateway = await startGateway({
    listen: {},
    policy: createPolicyRuntime(),
    accessLog: "off",
    listeners: [{ name: "bytes", protocol: "TCP", port: 0 }],
  });
  const plane = await startControlPlane({ registry: createMemoryRegistry() });
  try {
    const all = [gateway, plane].flatMap(({ metrics }) => metrics.collect());
    return new Map(all.map(({ name, labels }) => [name, labels]));
  } finally {
    await gateway.stop(0);
    await plane.stop();
  }
}

test("metrics that the docs name exist, with those labels, and every metric is in the docs", async () => {
  const known = await registered();
  const named = new Set<string>();
  const wrong: string[] = [];
  for (const { file, text } of pages) {
    for (const [, name, labels = ""] of text.matchAll(/\b(weft_[a-z0-9_]+)(?:\{([^}\n]*)\})?/g)) {
      if (OTHERS.has(name)) continue;
      const family = known.get(name) ?? known.get(name.replace(/_(?:bucket|sum|count)$/, ""));
      if (family === undefined) wrong.push(`${file}: there is no metric ${name}`);
      else named.add(name);
      for (const label of labels.split(",").map((part) => part.split("=", 1)[0].trim()))
        if (label !== "" && family !== undefined && !family.includes(label))
          wrong.push(`${file}: ${name} has no label ${label}; it has ${family.join(", ") || "none"}`);
    }
  }
  assert.deepEqual(wrong, []);
  const unnamed = [...known.keys()].filter((name) => name.startsWith("weft_") && !named.has(name));
  assert.deepEqual(unnamed, []);
});

test("every policy's page says what to watch", () => {
  const silent = pages.filter(({ file, text }) => {
    if (!/policies[/\\]/.test(file) || TOOLS.has(basename(file))) return false;
    const [, section = ""] = /^## Metrics\n([\s\S]*?)(?=^## |(?![\s\S]))/m.exec(text) ?? [];
    return !section.includes("weft_");
  });
  assert.deepEqual(
    silent.map(({ file }) => file),
    [],
  );
});
