import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createDirectClient } from "../../src/call/direct.ts";
import { Admin } from "../../src/contract/gen/weft/control/v1/control.ts";
import { startControlPlane } from "../../src/control/control-plane.ts";
import { openGitRevisions } from "../../src/drivers/git/git-revisions.ts";
import { createMemoryRegistry } from "../../src/drivers/memory/memory-registry.ts";

const policy = (mtls: string) => `apiVersion: weftmesh.dev/v1
kind: TrafficPolicy
metadata: { name: orders }
spec:
  targetRefs: [{ kind: Service, name: orders }]
  mtls: ${mtls}
`;

test("people change a system by commit and push; what does not hold good is refused, and the last good stays", async () => {
  const root = mkdtempSync(join(tmpdir(), "weft-git-plane-"));
  const git = (folder: string, ...args: string[]): string =>
    execFileSync("git", ["-C", folder, "-c", "user.name=Ada", "-c", "user.email=ada@example.org", ...args], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
  git(root, "init", "-q", "--bare", "-b", "main", "shop.git");
  const url = `git://${root}/shop.git`;
  const told: string[] = [];
  const start = async () =>
    startControlPlane({
      registry: createMemoryRegistry(),
      revisions: await openGitRevisions({ url }),
      onLedger: (line) => told.push(line),
    });
  let plane = await start();
  const until = async (what: string, holds: () => boolean): Promise<void> => {
    const began = performance.now();
    while (!holds()) {
      if (performance.now() - began > 10_000)
        throw new Error(`waited in vain for ${what}: revision ${plane.revision}; ${told}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    console.log(`${what} after ${Math.round(performance.now() - began)} ms`);
  };
  const first = await plane.publish({ text: policy("strict"), source: "a.yaml", author: "bob", reason: "begin" });
  assert.equal(first.revision, 1);
  git(root, "clone", "-q", "shop.git", "work");
  const work = join(root, "work");
  const push = (text: string, message: string): void => {
    writeFileSync(join(work, "resources/TrafficPolicy-orders.yaml"), text);
    git(work, "commit", "-q", "-a", "-m", message);
    git(work, "push", "-q", "origin", "HEAD");
  };
  push(policy("off"), "no TLS for now");
  await until("a commit is in force", () => plane.revision === 2);
  push(policy("sometimes"), "a mistake");
  await until("a mistake is refused", () => told.length > 0);
  assert.match(told[0], /^revision 3 by Ada is refused, and revision 2 stays in force: .*spec\.mtls/s);
  assert.equal(plane.revision, 2);
  const direct = createDirectClient(Admin, plane.address);
  const status = await direct.client.getStatus({});
  assert.deepEqual([status.revision, status.refused?.revision, status.refused?.author], [2n, 3n, "Ada"]);
  assert.equal((await direct.client.getRevision({})).author, "Ada");
  await direct.close();
  await plane.stop();
  plane = await start();
  assert.equal(plane.revision, 2, "after a restart the last good one is in force, too");
  push(policy("permissive"), "mended");
  await until("what mends it is in force", () => plane.revision === 4);
  told.length = 0;
  writeFileSync(join(work, "resources/TrafficPolicy-orders.yaml"), policy("off"));
  git(work, "commit", "-q", "-a", "--amend", "-m", "rewritten");
  git(work, "push", "-q", "--force", "origin", "HEAD");
  await until("a rewritten commit is refused", () => told.length > 0);
  assert.match(told[0], /^revision 4 by Ada is refused, and revision 4 stays in force: it was rewritten/);
  push(policy("strict"), "one more");
  await until("another commit is in force", () => plane.revision === 5);
  git(work, "reset", "-q", "--hard", "HEAD~3");
  git(work, "push", "-q", "--force", "origin", "HEAD");
  await until("what the branch was set back to is in force", () => plane.revision === 2);
  push(policy("permissive"), "and on from there");
  await until("what follows is in force", () => plane.revision === 3);
  const [one, two] = [plane, await start()];
  await Promise.all(
    ["strict", "off"].flatMap((mtls, i) =>
      [one, two].map((each, j) => each.publish({ text: policy(mtls), source: "x", author: `by ${i}${j}`, reason: "" })),
    ),
  );
  await until("all are at the same", () => one.revision === two.revision && one.revision >= 4);
  assert.equal(Number(git(join(root, "shop.git"), "rev-list", "--count", "main")), one.revision);
  await one.stop();
  await two.stop();
  rmSync(root, { recursive: true });
});
