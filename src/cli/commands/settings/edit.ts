import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { WeftError } from "../../../core/errors.ts";
import { canonicalJson, isRecord } from "../../../settings/json-value.ts";
import type { SettingsNamespace, SettingValue } from "../../../settings/settings-state.ts";
import { EXIT } from "../../exit-status.ts";
import type { Terminal } from "../../terminal.ts";
import { type Change, type ChangeFlags, namespaceOf, withCentre } from "./centre.ts";
import { setting } from "./settings.ts";

/** `weft settings edit NAMESPACE`. Each key that was changed is compared with what it was when the editor opened. */
export function edit(namespace: string, flags: ChangeFlags, terminal: Terminal): Promise<number> {
  return withCentre(flags, terminal, async ({ read, publish }) => {
    const { state, revision } = await read();
    const before = namespaceOf(state, namespace);
    const folder = mkdtempSync(join(tmpdir(), "weft-settings-"));
    const file = join(folder, `${namespace}.yaml`);
    let keep = false;
    try {
      writeFileSync(file, textOf(namespace, before), { mode: 0o600 });
      await runEditor(file);
      keep = true;
      const changes = changesOf(namespace, before, readFileSync(file, "utf8"), file);
      if (changes.length === 0) {
        keep = false;
        terminal.out(flags.json ? `${JSON.stringify({ revision, changed: false })}\n` : "nothing was changed\n");
        return EXIT.ok;
      }
      const status = await publish(changes, flags, `weft settings edit ${namespace}`);
      keep = flags.dryRun;
      return status;
    } finally {
      if (keep) terminal.err(`what you wrote is in ${file}\n`);
      else rmSync(folder, { recursive: true, force: true });
    }
  });
}

function textOf(namespace: string, { values, grays }: SettingsNamespace): string {
  const plain = Object.fromEntries(Object.entries(values).map(([key, { value }]) => [key, value]));
  const lines = [`# Settings of ${namespace}: change, add or delete keys, save, and leave the editor.`];
  if (grays.length > 0) lines.push(`# Under way, and not shown here: gray ${grays.map(({ id }) => id).join(", ")}.`);
  return `${lines.join("\n")}\n${Object.keys(plain).length === 0 ? "" : stringify(plain)}`;
}

function changesOf(namespace: string, { values }: SettingsNamespace, text: string, file: string): Change[] {
  let written: unknown;
  try {
    written = parse(text) ?? {};
  } catch (cause) {
    throw new WeftError("invalid_argument", `this is no YAML: ${(cause as Error).message}`, {
      reason: "BAD_SETTINGS",
      place: { file },
      cause,
    });
  }
  if (!isRecord(written))
    throw new WeftError("invalid_argument", "the settings of a namespace are keys with values: maxItems: 10", {
      reason: "BAD_SETTINGS",
      place: { file },
    });
  const changes: Change[] = [];
  for (const [key, value] of Object.entries(written)) {
    const entry = Object.hasOwn(values, key) ? values[key] : undefined;
    if (entry === undefined || canonicalJson(entry.value) !== canonicalJson(value as SettingValue))
      changes.push(setting(namespace, key, value as SettingValue, entry?.revision ?? 0));
  }
  for (const [key, { revision }] of Object.entries(values))
    if (!Object.hasOwn(written, key))
      changes.push({ namespace, change: { case: "remove", value: { key, expectedRevision: BigInt(revision) } } });
  return changes;
}

/** $VISUAL or $EDITOR, which may have arguments of their own. Rejects `failed_precondition` when it cannot be run, or did not end well. */
async function runEditor(file: string): Promise<void> {
  const given = process.env.VISUAL || process.env.EDITOR || "";
  if (given === "" && !process.stdin.isTTY)
    throw new WeftError(
      "failed_precondition",
      "there is no terminal for an editor; set EDITOR, or use `weft settings set`",
      {
        reason: "NO_EDITOR",
      },
    );
  const editor = given || "vi";
  // A shell takes the editor's words apart, and never the file's name.
  const child = spawn("/bin/sh", ["-c", `${editor} "$1"`, "sh", file], { stdio: "inherit" });
  const status = await new Promise<string>((resolve) => {
    child.once("error", ({ message }) => resolve(message));
    child.once("exit", (code, signal) => resolve(code === 0 ? "" : `it ended with ${signal ?? code}`));
  });
  if (status === "") return;
  throw new WeftError(
    "failed_precondition",
    `the editor "${editor.slice(0, 200)}" failed: ${status}; set EDITOR to one that is there`,
    {
      reason: "NO_EDITOR",
    },
  );
}
