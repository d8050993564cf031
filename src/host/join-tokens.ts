import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pinsOf } from "../core/control-pin.ts";
import { WeftError } from "../core/errors.ts";
import { encodeJoinToken } from "../core/join-token.ts";

/**
 * The operator's secret of a system that runs here, made by whoever needs it first, the host or its control plane, in a file that its user alone can read. With it the
 * host makes join tokens by itself: no process has to wait for the control plane to be told who it is.
 */
export function operatorTokenOf(stateDir: string): string {
  const folder = join(stateDir, "control");
  const file = join(folder, "operator-token");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  try {
    writeFileSync(file, `${randomBytes(32).toString("base64url")}\n`, { mode: 0o600, flag: "wx" });
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "EEXIST") throw thrown;
  }
  const token = readFileSync(file, "utf8").trim();
  if (token !== "") return token;
  throw new WeftError("failed_precondition", `${file} is empty; remove it, and the next start makes another`, {
    reason: "AUTHORITY_UNUSABLE",
  });
}

/** Of weft's own processes, of what a service runs, and of stock Envoys. */
export type TokenKind = "own" | "run" | "envoy";

/** For WEFT_JOIN_TOKEN of a process that is about to be started. */
export function joinTokenFor(service: string, system: string, stateDir: string, kind: TokenKind): string {
  const id = randomBytes(16).toString("base64url");
  const [uses, lifetimeMs] = HOLDS[kind];
  const claims = { system, service, id, expiresMs: Date.now() + lifetimeMs, uses, pins: rootsOf(stateDir) };
  return encodeJoinToken(claims, operatorTokenOf(stateDir));
}

/** Of the control plane's authority, which it tells in a file before it listens. None: it is asked in plain text, here on its own machine. */
function rootsOf(stateDir: string): string[] {
  try {
    return pinsOf(readFileSync(join(stateDir, "control", "trust.pem"), "utf8"));
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw thrown;
  }
}

const HOUR_MS = 3_600_000;
/** How many processes it holds for, and how long: a command may start others; a stock Envoy shows its token on every new stream. */
const HOLDS = {
  own: [1, HOUR_MS],
  run: [8, HOUR_MS],
  envoy: [10_000, 30 * 24 * HOUR_MS],
} as const;
