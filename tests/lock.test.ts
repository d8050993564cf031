import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "..");
const locks = globSync("**/package-lock.json", { cwd: root, exclude: (name) => name.endsWith("node_modules") });

interface Locked {
  resolved?: string;
  link?: boolean;
  optionalDependencies?: Record<string, string>;
}

for (const lock of locks) {
  const packages: Record<string, Locked> = JSON.parse(readFileSync(join(root, lock), "utf8")).packages;

  test(`${lock} names no download address`, () => {
    const named = Object.entries(packages).filter(([, locked]) => locked.resolved?.startsWith("http"));
    assert.deepEqual(named, []);
  });

  // A registry that lacks another platform's build leaves it out of the lock, and npm ci then refuses the lock everywhere.
  test(`${lock} holds the builds of every platform`, () => {
    const missing = Object.values(packages)
      .flatMap((locked) => Object.keys(locked.optionalDependencies ?? {}))
      .filter((name) => packages[`node_modules/${name}`] === undefined);
    assert.deepEqual(missing, []);
  });
}

test("there are lock files to check", () => assert.ok(locks.includes("package-lock.json")));
