import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { codecOf } from "../contract/codec.ts";
import { SettingsUpdateSchema } from "../contract/gen/weft/control/v1/settings.ts";
import { VirtualClock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import { SettingsFile } from "./settings-file.ts";
import { type KnownSettings, SettingsLine } from "./settings-line.ts";
import { Stream, type UpMessage } from "./stream.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-settings-line-"));
after(() => rmSync(folder, { recursive: true }));
const updates = codecOf(SettingsUpdateSchema);
const update = (revision: number, maxItems: unknown) =>
  updates.encode({ namespace: "orders", revision: BigInt(revision), json: JSON.stringify({ maxItems }), grays: [] });
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A line whose stream the test makes, and a service that refuses what is no number; it takes as long as the test says. */
class Line {
  readonly clock = new VirtualClock();
  stream: Stream | null = null;
  down = false;
  readonly taken: KnownSettings[] = [];
  readonly reported: string[] = [];
  slow: (() => void)[] | null = null;
  readonly line: SettingsLine;
  readonly file: SettingsFile;

  constructor(name: string) {
    this.file = new SettingsFile(join(folder, `${name}.json`), "orders-1", () => {});
    this.line = new SettingsLine({
      clock: this.clock,
      file: this.file,
      stream: () => this.stream,
      prove() {},
      isDown: () => this.down,
      unreachable: (ms) => new WeftError("unavailable", `nothing within ${ms} ms`),
      report: ({ message }) => this.reported.push(message),
    });
  }

  follow(timeoutMs = 1_000): Promise<void> {
    return this.line.follow(
      {
        namespace: "orders",
        schema: "{}",
        message: "",
        take: async (known) => {
          this.taken.push(known);
          await new Promise<void>((resolve) => (this.slow === null ? resolve() : this.slow.push(resolve)));
          return typeof known.values.maxItems === "number" ? "" : "maxItems is no number";
        },
      },
      timeoutMs,
    );
  }

  /** A new stream, and what the line says on it at once. */
  attach(): Stream {
    this.stream = new Stream();
    this.line.attached(this.stream);
    return this.stream;
  }

  /** What was said since the last look. */
  async said(): Promise<string[]> {
    await settled();
    const all: UpMessage[] = [];
    this.stream?.outbox.end();
    for await (const message of this.stream?.outbox ?? []) all.push(message);
    const ended = this.stream;
    if (ended !== null) this.stream = Object.assign(new Stream(), { requests: ended.requests });
    return all.map(({ message }) => {
      if (message?.case === "subscribeSettings") return `subscribe ${message.value.namespaces?.[0]?.knownRevision}`;
      if (message?.case !== "settingsApplied") return `${message?.case}`;
      return `applied ${message.value.revision} ${message.value.error}`.trimEnd();
    });
  }
}

test("what comes is brought into force and answered; what is refused leaves what was before, also for the next line", async () => {
  const at = new Line("one");
  at.attach();
  const following = at.follow();
  assert.deepEqual(await at.said(), ["subscribe 0"]);
  at.line.receive(update(3, 5));
  await following;
  assert.deepEqual(await at.said(), ["applied 3"]);
  at.line.receive(update(4, "many"));
  assert.deepEqual(await at.said(), ["applied 4 maxItems is no number"]);
  await at.file.written;
  assert.equal((await at.line.saved("orders"))?.revision, 3);
  at.attach();
  assert.deepEqual(await at.said(), ["subscribe 3"]);
});

test("while values are being brought into force only the newest of those that come wait", async () => {
  const at = new Line("two");
  at.attach();
  at.slow = [];
  const following = at.follow();
  for (const revision of [1, 2, 3, 4]) at.line.receive(update(revision, revision));
  await settled();
  assert.deepEqual(
    at.taken.map(({ revision }) => revision),
    [1],
  );
  const [first] = at.slow;
  at.slow = null;
  first();
  await following;
  await settled();
  assert.deepEqual(
    at.taken.map(({ revision }) => revision),
    [1, 4],
  );
  assert.deepEqual(await at.said(), ["subscribe 0", "applied 1", "applied 4"]);
});

test("while the line is down what is on disk is used; without any it is waited for in vain", async () => {
  const before = new Line("three");
  before.attach();
  const following = before.follow();
  before.line.receive(update(7, 7));
  await following;
  await before.file.written;
  const after = new Line("three");
  after.down = true;
  await after.follow();
  assert.deepEqual(
    after.taken.map(({ revision }) => revision),
    [7],
  );
  after.line.lost();
  await settled();
  assert.equal(after.taken.length, 1);
  after.attach();
  after.line.receive(update(8, 8));
  assert.deepEqual(await after.said(), ["subscribe 7", "applied 8"]);

  const empty = new Line("four");
  empty.down = true;
  const waiting = assert.rejects(empty.follow(500), /nothing within 500 ms/);
  await settled();
  await empty.clock.advance(501);
  await waiting;
});

test("what the control plane refuses is told to who asked, or in the log when it has had values", async () => {
  const at = new Line("five");
  const stream = at.attach();
  const following = at.follow();
  const refuse = (from: Stream) => {
    for (const done of from.requests.values())
      done({ code: 7, reason: "NOT_PROVEN", message: "not yours", field: "" } as never);
  };
  refuse(stream);
  await assert.rejects(following, /not yours/);
  const again = at.follow();
  at.line.receive(update(1, 1));
  await again;
  const next = at.attach();
  refuse(next);
  assert.deepEqual(at.reported, ["not yours"]);
});
