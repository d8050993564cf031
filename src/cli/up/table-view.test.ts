import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveSystem } from "../../host/resolve-system.ts";
import type { Host } from "../../host/types.ts";
import { PLAIN } from "../terminal.ts";
import { TableView } from "./table-view.ts";

const system = resolveSystem(
  { name: "shop", services: { users: { run: ["x"] } } },
  "weft.yaml",
  process.cwd(),
  () => null,
);
const host = { instances: () => [] } as unknown as Host;
const figures = { endpoints: () => null, total: () => null };

test("when the system has stopped, its last log lines stay on the ordinary screen, above what says so", () => {
  let written = "";
  const io = { out: (text: string) => void (written += text), err: () => {}, interactive: true };
  const view = new TableView(system, () => host, figures, {
    ...io,
    color: PLAIN,
    errColor: PLAIN,
    columns: 80,
    rows: 24,
  });
  for (let i = 0; i < 300; i++)
    view.event({ type: "log", id: "users-1", unit: "users", stream: "out", line: `line ${i}` });
  view.ready(["ready http://127.0.0.1:8080"]);
  view.event({ type: "stopping", reason: null });
  view.event({ type: "exited", id: "users-1", unit: "users", text: "ended", delayMs: 0 });
  view.close();
  const left = written.slice(written.lastIndexOf("\x1b[?1049l") + "\x1b[?1049l".length).split("\n");
  assert.equal(left.length, 202);
  assert.match(left[0], /^users-1 +\| line 102$/);
  assert.deepEqual(left[198], "ready http://127.0.0.1:8080");
  assert.match(left[199], /^users-1 +\* ended$/);
  assert.match(left[200], /^shop has stopped after /);
});
