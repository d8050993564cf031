import type { Clock } from "../core/clock.ts";
import { toWeftError } from "../core/errors.ts";
import type { PolicyRuntime } from "../policy/runtime.ts";
import { type Head, responseHead } from "../wire/head.ts";
import type { HttpStream, StreamSink } from "../wire/stream.ts";
import type { StreamedPage } from "./admin.ts";

/**
 * `/record?seconds=60&sample=0.1&keep=x-lane`: records calls for so long (at most an hour) and streams the recording. It ends with the request: when the reader
 * goes, when the time is over, or when a reader is so slow that 8 MiB wait for it. Values are always redacted here.
 */
export function recordingPage(policy: PolicyRuntime, clock: Clock, process: string): StreamedPage {
  return (stream: HttpStream, _head: Head, query: URLSearchParams, refuse) => {
    const seconds = Math.min(Number(query.get("seconds")) || 60, 3_600);
    const sample = Math.min(Math.max(Number(query.get("sample") ?? 1), 0), 1);
    const keepHeaders = (query.get("keep") ?? "").split(",").filter((name) => name !== "");
    void (async () => {
      // Loaded when somebody records: an idle gateway does without.
      const { Recording } = await import("./recording.ts");
      try {
        const sink = new Reader();
        const recording = new Recording({
          policy,
          clock,
          process,
          sample,
          keepHeaders,
          write: (bytes) => {
            if (stream.closed || sink.gone || stream.bufferedBytes > MAX_WAITING_BYTES) return false;
            stream.sendData(bytes, 0, bytes.length, false);
            return true;
          },
          onEnd: () => {
            if (!stream.closed) stream.reset(CANCEL);
          },
        });
        stream.sink = sink;
        stream.sendHead(
          responseHead(200, ["content-type", "application/gzip", "cache-control", "no-store"]),
          null,
          false,
        );
        const finish = async (): Promise<void> => {
          cancel();
          await recording.stop();
          if (!stream.closed && !sink.gone) stream.sendData(EMPTY, 0, 0, true);
        };
        const cancel = clock.after(seconds * 1_000, () => void finish());
        sink.onGone = () => void finish();
      } catch (thrown) {
        refuse(409, toWeftError(thrown).message);
      }
    })();
  };
}

class Reader implements StreamSink {
  gone = false;
  onGone: () => void = () => {};

  onHead(): void {}
  onData(): void {}
  onTrailers(): void {}
  onWritable(): void {}
  onReset(): void {
    this.gone = true;
    this.onGone();
  }
}

const EMPTY = new Uint8Array(0);
/** RFC 9113, section 7. */
const CANCEL = 8;
const MAX_WAITING_BYTES = 8_388_608;
