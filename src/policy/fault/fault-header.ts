import type { Code } from "../../core/errors.ts";
import { parseDuration } from "../resource/duration.ts";
import { abortWithCode, abortWithStatus, type FaultSettings, GRPC_CODE_NAMES } from "./fault-field.ts";

/** Faults that a caller asked for. */
export type AskedFaults = Pick<FaultSettings, "delay" | "abort" | "resetPercent" | "throttle">;

/**
 * Reads `weft-fault: delay=200ms;percent=50, abort=503, abort=unavailable, throttle=65536, reset`. Null when it is anything else: faults are never guessed.
 * As with Envoy's x-envoy-fault-*-percentage fields, a caller asks for at most `maxPercent`.
 */
export function parseFaultHeader(value: string, maxPercent: number): AskedFaults | null {
  if (value.length > MAX_LENGTH) return null;
  let delay: AskedFaults["delay"] = null;
  let abort: AskedFaults["abort"] = null;
  let resetPercent = 0;
  let throttle: AskedFaults["throttle"] = null;
  for (const part of value.split(",")) {
    const match = PART.exec(part.trim());
    if (match === null) return null;
    const [, kind, what = "", percentText = "100"] = match;
    const asked = Number(percentText);
    if (asked > 100) return null;
    const percent = Math.min(asked, maxPercent);
    if (kind === "reset" && what === "") resetPercent = percent;
    else if (kind === "delay") {
      const ms = parseDuration(what);
      if (ms === undefined || ms <= 0 || ms > MAX_DELAY_MS) return null;
      delay = { kind: "fixed", ms, maxMs: ms, percent };
    } else if (kind === "abort" && /^[2-5]\d\d$/.test(what)) abort = abortWithStatus(Number(what), percent);
    else if (kind === "abort" && GRPC_CODE_NAMES.includes(what)) abort = abortWithCode(what as Code, percent);
    else if (kind === "throttle" && /^[1-9]\d{0,9}$/.test(what)) throttle = { bytesPerSecond: Number(what), percent };
    else return null;
  }
  return { delay, abort, resetPercent, throttle };
}

const PART = /^(delay|abort|throttle|reset)(?:=([a-z0-9_.]{1,32}))?(?:;percent=(\d{1,3}(?:\.\d{1,4})?))?$/;
const MAX_LENGTH = 256;
/** A caller cannot park calls for longer. */
const MAX_DELAY_MS = 60_000;
