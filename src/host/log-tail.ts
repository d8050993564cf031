import { open } from "node:fs/promises";

/** The last `lines` lines of a log, the older file included. At most `maxBytes` of each are read. "" when there is no log yet. */
export async function tailOf(path: string, lines: number, maxBytes = 4 * 1024 * 1024): Promise<string> {
  let text = "";
  for (const file of [path, `${path}.1`]) {
    text = (await endOf(file, maxBytes)) + text;
    if (text.split("\n").length - 1 >= lines) break;
  }
  const all = text.split("\n");
  if (all.at(-1) === "") all.pop();
  const kept = lines === 0 ? [] : all.slice(-lines);
  return kept.length === 0 ? "" : `${kept.join("\n")}\n`;
}

async function endOf(path: string, maxBytes: number): Promise<string> {
  const file = await open(path).catch(() => null);
  if (file === null) return "";
  try {
    const { size } = await file.stat();
    const from = Math.max(0, size - maxBytes);
    const bytes = Buffer.alloc(size - from);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, from);
    const text = bytes.toString("utf8", 0, bytesRead);
    // A line that was cut in two is left out.
    return from === 0 ? text : text.slice(text.indexOf("\n") + 1);
  } finally {
    await file.close();
  }
}
