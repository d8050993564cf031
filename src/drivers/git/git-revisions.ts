import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { type Clock, systemClock } from "../../core/clock.ts";
import { toWeftError, WeftError } from "../../core/errors.ts";
import { storeClosed } from "../../settings/key-value-check.ts";
import type { RevisionNote, RevisionStore, StoredRevision } from "../../settings/revision-store.ts";
import { assertTagName, unknownRevision } from "../../settings/revision-tags.ts";
import { type GitAnswer, runGit } from "./git-command.ts";
import { commitStream, LOG_FORMAT, notesOfLog } from "./git-commit.ts";
import { decodeFiles, encodeFiles, isRevisionFile, type RevisionFiles } from "./git-files.ts";
import { type GitTarget, parseGitUrl } from "./git-url.ts";

export interface GitRevisionsOptions {
  /** "git:///srv/shop.git?branch=main&remote=origin" (git-url.ts). */
  url: string;
  clock?: Clock;
  /** Told when the repository cannot be looked at, once; and (null) that it can again. Default: nobody is told. */
  onError?: (error: WeftError | null) => void;
}

/**
 * Revisions as commits of a branch: revision N is the N-th commit of its first-parent line, whoever made it. With a remote the branch is the remote's, and the repository here is where commits
 * are made before they are pushed.
 *
 *     append --files of what changed--> commit --compare-and-set of the branch--> next revision, or somebody was first
 *     branch --looked at every second--> commits of others
 *
 * Rejects `failed_precondition` for what is no repository, or whose branch is checked out: its files would not be what the branch says.
 */
export async function openGitRevisions(options: GitRevisionsOptions): Promise<RevisionStore> {
  const target = parseGitUrl(options.url);
  if (!existsSync(target.folder))
    throw unusable(`${target.folder} is not there; make it by: git init --bare -b ${target.branch} ${target.folder}`);
  const found = await runGit(target.folder, ["rev-parse", "--is-bare-repository"]);
  if (found.status !== 0) throw unusable(`${target.folder} cannot be used: ${found.said || "it is no Git repository"}`);
  const store = new GitRevisions(target, found.out.toString().trim() === "true", options);
  await store.opened();
  return store;
}

class GitRevisions implements RevisionStore {
  readonly editable = true;
  readonly #target: GitTarget;
  readonly #bare: boolean;
  readonly #clock: Clock;
  readonly #onError: (error: WeftError | null) => void;
  /** Where the branch is read. */
  readonly #ref: string;
  readonly #listeners = new Set<(revision: number) => void>();
  /** First-parent line up to `#tip`, oldest first. */
  #commits: readonly string[] = [];
  #tip = "";
  #told = "";
  #failing = false;
  #reading: Promise<void> | null = null;
  #cancel = (): void => {};
  #following = false;
  #closed = false;

  constructor(target: GitTarget, bare: boolean, { clock = systemClock, onError = () => {} }: GitRevisionsOptions) {
    this.#target = target;
    this.#bare = bare;
    this.#clock = clock;
    this.#onError = onError;
    this.#ref = target.remote === "" ? `refs/heads/${target.branch}` : `refs/remotes/${target.remote}/${target.branch}`;
  }

  async opened(): Promise<void> {
    await this.#assertNotCheckedOut();
    await this.#read();
  }

  async head(): Promise<StoredRevision | null> {
    await this.#read();
    return this.get(this.#commits.length);
  }

  async newest(): Promise<RevisionNote | null> {
    const [newest = null] = await this.list(1, Number.MAX_SAFE_INTEGER);
    return newest;
  }

  async get(revision: number): Promise<StoredRevision | null> {
    this.#assertOpen();
    if (revision > this.#commits.length) await this.#read();
    const commit = this.#commits[revision - 1];
    if (commit === undefined) return null;
    const [note] = await this.#notes(commit, revision, 1);
    const files = await this.#files(commit);
    try {
      const { resources, settings } = decodeFiles(files, { revision, author: note.author, atMs: note.publishedMs });
      return { ...note, resources: JSON.stringify(resources), settings: JSON.stringify(settings) };
    } catch (thrown) {
      const { code, message, reason, place } = toWeftError(thrown);
      throw new WeftError(code, `commit ${commit.slice(0, 10)}: ${message}`, { reason, place, cause: thrown });
    }
  }

  async list(limit: number, before: number): Promise<readonly RevisionNote[]> {
    await this.#read();
    const newest = Math.min(this.#commits.length, before - 1);
    return newest < 1 ? [] : this.#notes(this.#commits[newest - 1], newest, limit);
  }

  async append(revision: StoredRevision): Promise<boolean> {
    await this.#read();
    if (revision.revision !== this.#commits.length + 1) return false;
    await this.#assertNotCheckedOut();
    const parent = this.#tip;
    const before: RevisionFiles = parent === "" ? new Map() : await this.#files(parent);
    const content = {
      resources: JSON.parse(revision.resources),
      settings: JSON.parse(revision.settings || '{"namespaces":{}}'),
    };
    const after = encodeFiles(content, before);
    const made = `refs/weft/${randomBytes(8).toString("hex")}`;
    try {
      await this.#git(["fast-import", "--quiet"], commitStream({ ref: made, parent, revision, before, after }));
      const commit = (await this.#git(["rev-parse", "--verify", made])).toString().trim();
      const moved = await this.#move(commit, parent);
      if (moved) await this.#read();
      return moved;
    } finally {
      await this.#writing(["update-ref", "-d", made]);
    }
  }

  watch(listener: (revision: number) => void): { close(): void } {
    this.#assertOpen();
    const own = (revision: number): void => listener(revision);
    this.#listeners.add(own);
    if (!this.#following) this.#look(0);
    return { close: () => void this.#listeners.delete(own) };
  }

  /** The first commit. */
  async line(): Promise<string> {
    await this.#read();
    return this.#commits[0] ?? "";
  }

  async tags(): Promise<Readonly<Record<string, number>>> {
    await this.#read();
    const format = "--format=%(refname:strip=2) %(objectname) %(*objectname)";
    const refs = (await this.#git(["for-each-ref", format, "refs/tags"])).toString();
    const numbers = new Map(this.#commits.map((commit, index) => [commit, index + 1]));
    const tags: Record<string, number> = {};
    for (const line of refs.split("\n")) {
      const [name, object = "", peeled = ""] = line.split(" ");
      const revision = numbers.get(peeled || object);
      if (revision !== undefined) tags[name] = revision;
    }
    return tags;
  }

  async tag(name: string, revision: number): Promise<void> {
    assertTagName(name);
    await this.#read();
    const commit = this.#commits[revision - 1];
    if (revision !== 0 && commit === undefined) throw unknownRevision(revision);
    const ref = `refs/tags/${name}`;
    const { remote } = this.#target;
    if (remote !== "") await this.#push([`+${commit ?? ""}:${ref}`], revision === 0);
    const answer = await this.#writing(commit === undefined ? ["update-ref", "-d", ref] : ["update-ref", ref, commit]);
    if (answer.status !== 0) throw failed("update-ref", answer);
  }

  /** Git keeps everything. */
  async retain(): Promise<number> {
    this.#assertOpen();
    return 0;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel();
    this.#listeners.clear();
    await this.#reading?.catch(() => {});
  }

  /** False: the branch is not where it was. */
  async #move(commit: string, parent: string): Promise<boolean> {
    const { branch, remote } = this.#target;
    if (remote === "") {
      const old = parent === "" ? "0".repeat(commit.length) : parent;
      const answer = await this.#writing(["update-ref", "-m", "weft: append", this.#ref, commit, old]);
      if (answer.status === 0) return true;
      if ((await this.#readTip()) !== parent) return false;
      throw failed("update-ref", answer);
    }
    const ref = `refs/heads/${branch}`;
    const { status, said } = await this.#writing([
      "push",
      "--quiet",
      "--porcelain",
      `--force-with-lease=${ref}:${parent}`,
      remote,
      `${commit}:${ref}`,
    ]);
    if (status === 0) return true;
    await this.#read();
    if (this.#tip === commit) return true;
    if (this.#tip !== parent) return false;
    throw new WeftError("unavailable", `git push to ${remote} failed: ${said}`, { reason: "GIT_FAILED" });
  }

  async #push(refs: readonly string[], mayBeGone: boolean): Promise<void> {
    const { remote } = this.#target;
    const { status, said } = await this.#writing(["push", "--quiet", remote, ...refs]);
    if (status !== 0 && !(mayBeGone && said.includes("remote ref does not exist")))
      throw new WeftError("unavailable", `git push to ${remote} failed: ${said}`, { reason: "GIT_FAILED" });
  }

  /** Looks at the branch. Who asks while that is under way waits for the next look. */
  async #read(): Promise<void> {
    this.#assertOpen();
    const before = this.#reading;
    const reading = (async () => {
      await before?.catch(() => {});
      await this.#fetch();
      const tip = await this.#readTip();
      if (tip === this.#tip) return;
      const line =
        tip === "" ? "" : (await this.#git(["rev-list", "--first-parent", "--reverse", tip, "--"])).toString();
      this.#commits = line.split("\n").filter((commit) => commit !== "");
      this.#tip = tip;
    })();
    this.#reading = reading;
    await reading;
  }

  async #fetch(): Promise<void> {
    const { remote, branch } = this.#target;
    if (remote === "") return;
    const refs = [`+refs/heads/${branch}:${this.#ref}`, "+refs/tags/*:refs/tags/*"];
    const fetch = ["fetch", "--quiet", "--no-write-fetch-head", "--prune", remote, ...refs];
    // Who else fetches into this repository writes the same references.
    const { status, said } = await this.#writing(fetch, /cannot lock ref/);
    if (status === 0 || said.includes("couldn't find remote ref")) return;
    throw new WeftError("unavailable", `git fetch from ${remote} failed: ${said}`, {
      reason: "GIT_FAILED",
      retryable: true,
    });
  }

  /** "": there is no such branch yet. */
  async #readTip(): Promise<string> {
    const { status, out } = await this.#run(["rev-parse", "--verify", "--quiet", `${this.#ref}^{commit}`]);
    return status === 0 ? out.toString().trim() : "";
  }

  #look(afterMs: number): void {
    this.#following = true;
    this.#cancel = this.#clock.after(afterMs, () => {
      void this.#read()
        .then(() => {
          if (this.#failing) this.#onError(null);
          this.#failing = false;
          if (this.#tip === this.#told || this.#closed) return;
          this.#told = this.#tip;
          for (const listener of this.#listeners) listener(this.#commits.length);
        })
        .catch((thrown) => {
          if (!this.#failing && !this.#closed) this.#onError(toWeftError(thrown));
          this.#failing = true;
        })
        .finally(() => {
          if (!this.#closed) this.#look(LOOK_MS);
        });
    });
  }

  async #notes(commit: string, revision: number, limit: number): Promise<RevisionNote[]> {
    const args = [
      "-c",
      "core.quotePath=false",
      "log",
      "--first-parent",
      "--name-only",
      `--max-count=${Math.max(1, limit)}`,
    ];
    return notesOfLog((await this.#git([...args, `--format=${LOG_FORMAT}`, commit, "--"])).toString(), revision);
  }

  async #files(commit: string): Promise<RevisionFiles> {
    const listed = (await this.#git(["ls-tree", "-r", "-z", commit])).toString();
    const wanted: { path: string; object: string }[] = [];
    for (const line of listed.split("\0")) {
      const match = /^100(?:644|755) blob ([0-9a-f]+)\t(.+)$/s.exec(line);
      if (match !== null && isRevisionFile(match[2])) wanted.push({ path: match[2], object: match[1] });
    }
    if (wanted.length > MAX_FILES)
      throw new WeftError(
        "resource_exhausted",
        `commit ${commit.slice(0, 10)} has ${wanted.length} files of resources and settings; at most ${MAX_FILES} are read`,
        { reason: "GIT_TOO_LARGE" },
      );
    const files = new Map<string, string>();
    if (wanted.length === 0) return files;
    const out = await this.#git(["cat-file", "--batch"], wanted.map(({ object }) => `${object}\n`).join(""));
    let at = 0;
    for (const { path } of wanted) {
      const end = out.indexOf(10, at);
      const size = Number(out.toString("latin1", at, end).split(" ")[2]);
      files.set(path, out.toString("utf8", end + 1, end + 1 + size));
      at = end + 1 + size + 1;
    }
    return files;
  }

  async #assertNotCheckedOut(): Promise<void> {
    if (this.#bare || this.#target.remote !== "") return;
    const { folder, branch } = this.#target;
    const trees = (await this.#git(["worktree", "list", "--porcelain"])).toString().split("\n");
    if (!trees.includes(`branch ${this.#ref}`)) return;
    throw unusable(
      `the branch ${branch} of ${folder} is checked out there, and its files would not follow it; use a branch that is not (?branch=weft), or a bare repository`,
    );
  }

  /** Runs what writes references, again where it says so of `busy`: they are locked for a moment by whoever writes one. */
  async #writing(args: readonly string[], busy = /\.lock': File exists/): Promise<GitAnswer> {
    for (let tries = 1; ; tries++) {
      const answer = await this.#run(args);
      if (answer.status === 0 || tries === MAX_TRIES || !busy.test(answer.said)) return answer;
      await new Promise<void>((resolve) => void this.#clock.after(20 * tries, resolve));
    }
  }

  async #git(args: readonly string[], input: Uint8Array | string = ""): Promise<Buffer> {
    const answer = await this.#run(args, input);
    if (answer.status === 0) return answer.out;
    throw failed(args.find((arg) => !arg.startsWith("-") && !arg.includes("=")) ?? "", answer);
  }

  #run(args: readonly string[], input: Uint8Array | string = ""): Promise<GitAnswer> {
    return runGit(this.#target.folder, args, input);
  }

  #assertOpen(): void {
    if (this.#closed) throw storeClosed();
  }
}

function unusable(text: string): WeftError {
  return new WeftError("failed_precondition", text, { reason: "REPOSITORY_UNUSABLE" });
}

function failed(what: string, { status, said }: GitAnswer): WeftError {
  return new WeftError("unavailable", `git ${what} failed (${status}): ${said || "it does not say why"}`, {
    reason: "GIT_FAILED",
  });
}

const LOOK_MS = 1_000;
const MAX_FILES = 50_000;
const MAX_TRIES = 10;
