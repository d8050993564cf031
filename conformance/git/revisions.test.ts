import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type Clock, systemClock } from "../../src/core/clock.ts";
import { openGitRevisions } from "../../src/drivers/git/git-revisions.ts";
import { revisionStoreCases } from "../../src/settings/revision-store.case.ts";
import type { StoredRevision } from "../../src/settings/revision-store.ts";

const root = mkdtempSync(join(tmpdir(), "weft-git-"));
let made = 0;
after(() => rmSync(root, { recursive: true }));

revisionStoreCases("git", async () => {
  const url = `git://${bare()}`;
  const open = () => openGitRevisions({ url });
  return { open, openAnother: open, skip: { retain: "Git keeps everything" } };
});

revisionStoreCases("git with a remote", async () => {
  const origin = bare();
  const open = () => openGitRevisions({ url: `git://${clone(origin, true)}?remote=origin` });
  return { open, openAnother: open, skip: { retain: "Git keeps everything" } };
});

test("what a person commits is a revision; what was not changed stays as it was written", async () => {
  const repository = bare();
  const store = await openGitRevisions({ url: `git://${repository}` });
  await store.append(revisionOf(1, { limit: 5 }));
  const work = clone(repository);
  assert.match(
    readFileSync(join(work, "resources/HTTPRoute-shop.yaml"), "utf8"),
    /^kind: HTTPRoute\nmetadata:\n {2}name: shop\n/,
  );
  assert.equal(readFileSync(join(work, "settings/shop.yaml"), "utf8"), "values:\n  limit: 5\n");
  writeFileSync(join(work, "settings/shop.yaml"), "# half of it\nvalues:\n  limit: 2 # at night\n  added: yes it is\n");
  mkdirSync(join(work, "resources/more"));
  writeFileSync(
    join(work, "resources/more/all.yaml"),
    "{kind: A, metadata: {name: a}}\n---\n- {kind: B, metadata: {name: b}}\n",
  );
  writeFileSync(join(work, "README.md"), "read me\n");
  commit(work, "less at night");
  const mine = await store.head();
  assert.deepEqual([mine?.revision, mine?.author, mine?.reason], [2, "Ada Lovelace", "less at night"]);
  assert.deepEqual(
    JSON.parse(mine?.resources ?? "").map(({ kind }: { kind: string }) => kind),
    ["HTTPRoute", "A", "B"],
  );
  const { values, revision } = JSON.parse(mine?.settings ?? "").namespaces.shop;
  assert.deepEqual(
    [values.limit.value, values.limit.revision, values.limit.author, values.added.value, revision],
    [2, 2, "Ada Lovelace", "yes it is", 2],
  );
  assert.deepEqual(mine?.changes, ["more/all", "settings shop"]);
  const settings = {
    namespaces: { ...JSON.parse(mine?.settings ?? "").namespaces, bank: namespaceOf({ open: true }, 3) },
  };
  await store.append({ ...revisionOf(3, {}), resources: mine?.resources ?? "", settings: JSON.stringify(settings) });
  git(work, "pull", "-q");
  assert.match(readFileSync(join(work, "settings/shop.yaml"), "utf8"), /# at night/);
  assert.match(readFileSync(join(work, "resources/more/all.yaml"), "utf8"), /^\{kind: A/);
  assert.equal(readFileSync(join(work, "README.md"), "utf8"), "read me\n");
  assert.deepEqual(JSON.parse((await store.head())?.settings ?? ""), settings);
  await store.close();
});

test("a commit that nobody can read is refused with its file and line, and listed all the same", async () => {
  const repository = bare();
  const store = await openGitRevisions({ url: `git://${repository}` });
  await store.append(revisionOf(1, { limit: 5 }));
  const work = clone(repository);
  writeFileSync(join(work, "resources/HTTPRoute-shop.yaml"), "kind: HTTPRoute\nmetadata: {name: shop\n");
  commit(work, "broken");
  await assert.rejects(store.head(), (error: Error) =>
    /^commit [0-9a-f]{10}: resources\/HTTPRoute-shop\.yaml:\d: /.test(error.message),
  );
  const notes = await store.list(10, Number.MAX_SAFE_INTEGER);
  assert.deepEqual(
    notes.map(({ revision, reason }) => [revision, reason]),
    [
      [2, "broken"],
      [1, "try"],
    ],
  );
  assert.equal((await store.get(1))?.revision, 1);
  await store.append(revisionOf(3, { limit: 6 }));
  assert.equal((await store.head())?.revision, 3, "what replaces it is read again");
  await store.close();
});

test("who writes the same reference at that moment is waited for", async () => {
  const origin = bare();
  const remote = clone(origin, true);
  const opened = async (url: string, folder: string, ref: string) => {
    const lock = join(folder, `${ref}.lock`);
    let waited = 0;
    const after: Clock["after"] = (ms, fire) => {
      waited++;
      rmSync(lock, { force: true });
      return systemClock.after(ms, fire);
    };
    const store = await openGitRevisions({ url, clock: { ...systemClock, after } });
    return { store, lock: () => writeFileSync(lock, ""), waited: () => waited };
  };
  const direct = await opened(`git://${origin}`, origin, "refs/heads/main");
  await direct.store.append(revisionOf(1, {}));
  direct.lock();
  assert.equal(await direct.store.append(revisionOf(2, {})), true);
  assert.equal(direct.waited(), 1);
  const far = await opened(`git://${remote}?remote=origin`, remote, "refs/remotes/origin/main");
  assert.equal((await far.store.newest())?.revision, 2);
  await direct.store.append(revisionOf(3, {}));
  far.lock();
  assert.equal((await far.store.newest())?.revision, 3);
  assert.equal(far.waited(), 1);
  for (const { store } of [direct, far]) await store.close();
});

test("people are told when a repository cannot be used", async () => {
  const refused = (url: string, message: RegExp) =>
    assert.rejects(openGitRevisions({ url }), (error: Error) => message.test(error.message), url);
  await refused(`git://${root}/nowhere.git`, /git init --bare -b main/);
  await refused(`git://${root}`, /cannot be used/);
  const work = clone(bare());
  writeFileSync(join(work, "a"), "a");
  git(work, "checkout", "-q", "-b", "main");
  commit(work, "first");
  await refused(`git://${work}`, /checked out there/);
  const beside = await openGitRevisions({ url: `git://${work}?branch=weft` });
  assert.equal(await beside.append(revisionOf(1, {})), true);
  assert.equal(git(work, "status", "--porcelain"), "", "its work tree was touched");
  await beside.close();
  for (const url of ["git://host/x", "git:///x?branch=", "git:///x?branch=a..b", "git:///x?force=1", "git:///%"])
    await assert.rejects(openGitRevisions({ url }), { code: "invalid_argument", reason: "BAD_ADDRESS" }, url);
});

test("authors and reasons come back as they were given, whatever is in them", async () => {
  const store = await openGitRevisions({ url: `git://${bare()}` });
  const odd = ["", "a <b@c>", 'line\nbreak "quoted"', "täglich", "--force", "unknown"];
  for (const [index, author] of odd.entries()) {
    const reason = index % 2 ? `two\n\nparagraphs of ${author.replace("\n", " ")}` : "";
    const changes = ["settings shop/limit", "HTTPRoute shop"];
    await store.append({
      ...revisionOf(index + 1, {}),
      changes,
      author,
      reason,
      publishedMs: 1_700_000_000_123 + index,
    });
    const head = await store.head();
    assert.deepEqual(head?.changes, ["settings shop/limit", "HTTPRoute shop"]);
    assert.deepEqual([head?.author, head?.reason, head?.publishedMs], [author, reason, 1_700_000_000_123 + index]);
  }
  await store.close();
});

function revisionOf(revision: number, values: Record<string, unknown>): StoredRevision {
  const shop = { kind: "HTTPRoute", metadata: { name: "shop" }, spec: { rules: [] } };
  const settings = JSON.stringify({ namespaces: { shop: namespaceOf(values, revision) } });
  return {
    revision,
    author: "ada",
    reason: "try",
    publishedMs: 1_700_000_000_000,
    changes: [],
    resources: JSON.stringify([shop]),
    settings,
  };
}

function namespaceOf(values: Record<string, unknown>, revision: number): unknown {
  const entries = Object.entries(values).map(([key, value]) => [key, { value, revision, author: "ada", atMs: 5 }]);
  return { values: Object.fromEntries(entries), schema: null, grays: [], revision };
}

function bare(): string {
  const folder = join(root, `repository-${++made}.git`);
  git(root, "init", "-q", "--bare", "-b", "main", folder);
  return folder;
}

function clone(repository: string, isBare = false): string {
  const folder = join(root, `clone-${++made}`);
  git(root, "clone", "-q", ...(isBare ? ["--bare"] : []), repository, folder);
  return folder;
}

function commit(work: string, message: string): void {
  git(work, "add", ".");
  git(work, "-c", "user.name=Ada Lovelace", "-c", "user.email=ada@example.org", "commit", "-q", "-m", message);
  git(work, "push", "-q", "origin", "HEAD");
}

function git(folder: string, ...args: string[]): string {
  return execFileSync("git", ["-C", folder, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
}
