import { open } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { counted } from "../../core/counted.ts";
import { WeftError } from "../../core/errors.ts";
import { shownPath } from "../../host/load-system.ts";
import { EXIT } from "../exit-status.ts";
import { readRecording } from "../recording-files.ts";
import type { Terminal } from "../terminal.ts";
import { runningSystem } from "./host.ts";

export interface RecordFlags {
  dir: string;
  state?: string;
  admin?: string;
  for: number;
  sample: number;
  keep?: string[];
  json: boolean;
}

/** `weft record`: writes the calls of a gateway into a file, until the time is over or Ctrl-C. */
export async function record(file: string, flags: RecordFlags, terminal: Terminal): Promise<number> {
  const admin = flags.admin ?? runningSystem(flags).gatewayAdmin?.replace(/^http:\/\//, "");
  if (admin === undefined || admin === "") {
    throw new WeftError(
      "failed_precondition",
      "the system has no gateway that is ready; name an admin address: --admin HOST:PORT",
      {
        reason: "NOT_READY",
      },
    );
  }
  const query = new URLSearchParams({ seconds: String(flags.for / 1_000), sample: String(flags.sample) });
  if (flags.keep !== undefined) query.set("keep", flags.keep.join(","));
  const abort = new AbortController();
  const stop = (): void => abort.abort();
  process.once("SIGINT", stop);
  try {
    const answer = await fetch(`http://${admin}/record?${query}`, { signal: abort.signal }).catch((cause: unknown) => {
      const why =
        cause instanceof Error ? (cause.cause instanceof Error ? cause.cause.message : cause.message) : String(cause);
      throw new WeftError("unavailable", `the gateway's admin address ${admin} cannot be asked: ${why}`, {
        reason: "CANNOT_ASK",
        cause,
      });
    });
    if (!answer.ok || answer.body === null) {
      throw new WeftError("failed_precondition", `${admin}: ${(await answer.text()).trim()}`, {
        reason: "CANNOT_RECORD",
      });
    }
    const to = await open(file, "w", 0o600).catch((cause: Error) => {
      abort.abort();
      throw new WeftError(
        "failed_precondition",
        `${shownPath(file)} cannot be written: ${cause.message.replace(/^[A-Z]+: |, open .*$/g, "")}`,
        {
          reason: "CANNOT_WRITE",
          cause,
        },
      );
    });
    if (!flags.json)
      terminal.err(`recording to ${shownPath(file)} for ${flags.for / 1_000} s; Ctrl-C ends it earlier\n`);
    await pipeline(Readable.fromWeb(answer.body as never), to.createWriteStream()).catch((thrown) => {
      if (!abort.signal.aborted) throw thrown;
    });
  } finally {
    process.removeListener("SIGINT", stop);
  }
  const calls = readRecording(file).filter(({ t }) => t === "call").length;
  terminal.out(
    flags.json
      ? `${JSON.stringify({ file, calls })}\n`
      : `${counted(calls, "call")} in ${shownPath(file)}; replay them with: weft replay ${shownPath(file)} --policy FILE\n`,
  );
  return EXIT.ok;
}
