import { readFileSync, statSync } from "node:fs";
import { constants, gunzipSync } from "node:zlib";
import { WeftError } from "../core/errors.ts";
import { shownPath } from "../host/load-system.ts";
import { RECORDING_VERSION, type RecordedLine } from "../policy/replay/recorded.ts";
import { segmentsIn } from "../proxy/recording-folder.ts";

/**
 * The lines of a recording: a file, or a folder of segments, the oldest first. What was cut off at the end by a crash is left out. Throws `not_found`, and
 * `invalid_argument` for what is no recording or one of another version.
 */
export function readRecording(path: string): RecordedLine[] {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw noRecording("not_found", path, "there is no such file or folder");
  const files = stat.isDirectory() ? segmentsIn(path) : [path];
  if (files.length === 0) throw noRecording("not_found", path, "the folder has no recording-*.weft.gz");
  // Segments are renumbered: one process may have recorded several times.
  return files.flatMap((file) => linesOf(file));
}

function linesOf(file: string): RecordedLine[] {
  const bytes = readFileSync(file);
  let text: string;
  try {
    text = gunzipSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH }).toString("utf8");
  } catch {
    throw noRecording("invalid_argument", file, "it is no recording: not compressed by gzip");
  }
  const lines: RecordedLine[] = [];
  for (const line of text.split("\n")) {
    if (line === "") continue;
    let parsed: unknown;
    try {
      parsed = JSON.parse(line);
    } catch {
      break; // cut off
    }
    lines.push(parsed as RecordedLine);
  }
  const [first] = lines;
  if (first === undefined || first.t !== "start")
    throw noRecording("invalid_argument", file, "it is no recording of weft's");
  if ((first.version as number) !== RECORDING_VERSION) {
    throw noRecording(
      "invalid_argument",
      file,
      `it is of version ${String(first.version)}; this weft reads ${RECORDING_VERSION}`,
    );
  }
  return lines;
}

function noRecording(code: "not_found" | "invalid_argument", path: string, message: string): WeftError {
  return new WeftError(code, `${shownPath(path)}: ${message}`, {
    reason: "NO_RECORDING",
    place: { file: shownPath(path) },
  });
}
