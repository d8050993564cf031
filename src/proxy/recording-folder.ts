import { closeSync, mkdirSync, openSync, readdirSync, rmSync, statSync, write as writeCallback } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { Recording, type RecordingOptions } from "./recording.ts";

export interface RecordingFolderOptions extends Omit<RecordingOptions, "write"> {
  folder: string;
  /** What all segments may take, bytes; the oldest go. Default 64 MiB. */
  maxBytes?: number;
  /** A new segment begins above this. Default an eighth of `maxBytes`. */
  segmentBytes?: number;
}

/**
 * A ring of segments in a folder: `recording-<time>-<number>.weft.gz`. Each can be replayed by itself; together they never take much more than `maxBytes`. What
 * earlier runs left counts. Only its owner can read them.
 */
export function recordToFolder(options: RecordingFolderOptions): { stop(): Promise<void> } {
  const { folder, maxBytes = 67_108_864, segmentBytes = Math.ceil(maxBytes / 8), ...rest } = options;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  let file = -1;
  let written = 0;
  let number = 0;
  let rotating = false;
  const recording = new Recording({
    ...rest,
    async write(bytes, segment) {
      if (segment || file < 0) {
        if (file >= 0) closeSync(file);
        prune(folder, maxBytes - segmentBytes);
        const name = `recording-${options.clock.wallMs()}-${String(++number).padStart(4, "0")}${SUFFIX}`;
        file = openSync(join(folder, name), "ax", 0o600);
        written = 0;
        rotating = false;
      }
      await writeAll(file, bytes);
      written += bytes.length;
      if (written >= segmentBytes && !rotating) {
        rotating = true;
        recording.segment();
      }
      return true;
    },
  });
  return {
    async stop() {
      await recording.stop();
      if (file >= 0) closeSync(file);
      file = -1;
    },
  };
}

/** The segments of a folder, the oldest first. */
export function segmentsIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.startsWith("recording-") && name.endsWith(SUFFIX))
    .sort((a, b) => orderOf(a) - orderOf(b) || (a < b ? -1 : 1))
    .map((name) => join(folder, name));
}

export const SUFFIX = ".weft.gz";

function orderOf(name: string): number {
  return Number(/^recording-(\d+)-/.exec(name)?.[1] ?? 0);
}

function prune(folder: string, maxBytes: number): void {
  const segments = segmentsIn(folder).map((path) => ({ path, bytes: statSync(path).size }));
  let total = segments.reduce((sum, { bytes }) => sum + bytes, 0);
  for (const { path, bytes } of segments) {
    if (total <= maxBytes) return;
    rmSync(path, { force: true });
    total -= bytes;
  }
}

const write = promisify(writeCallback);

async function writeAll(file: number, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await write(file, bytes, at, bytes.length - at)).bytesWritten;
}
