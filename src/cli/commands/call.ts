import { createInterface } from "node:readline";
import { callJson } from "../../call/call-json.ts";
import type { JsonValue } from "../../contract/runtime.ts";
import type { Decision } from "../../policy/call.ts";
import { copyDecision } from "../../policy/decision/decision.ts";
import { explainDecision } from "../../policy/decision/explain.ts";
import { type CallTarget, parseMethodName, targetByAddress, targetByControl } from "../call-target.ts";
import { controlAddress } from "../control-address.ts";
import { usage } from "../exit-status.ts";
import { paintDecision } from "../paint-decision.ts";
import { type Terminal, timeOfDay } from "../terminal.ts";

export interface CallFlags {
  dir: string;
  state?: string;
  address?: string;
  control?: string;
  explain: boolean;
  timeout?: number;
  header?: string[];
  json: boolean;
}

/** `weft call`: prints each response message as a line of JSON (indented in a terminal). The decision goes to stderr, so that a pipe gets the answer alone. */
export async function call(name: string, json: readonly string[], flags: CallFlags, terminal: Terminal): Promise<void> {
  parseMethodName(name);
  const requests =
    json.length === 1 && json[0] === "-" ? linesOfStdin() : json.length === 0 ? [{}] : json.map(parseRequest);
  const metadata = parseHeaders(flags.header ?? []);
  const target = await findTarget(name, flags);
  let decision: Decision | null = null;
  let when = "";
  const abort = new AbortController();
  process.once("SIGINT", () => abort.abort());
  try {
    const options = {
      timeoutMs: flags.timeout,
      metadata,
      signal: abort.signal,
      onDecision(ended: Decision) {
        decision = copyDecision(ended); // valid during this call only
        when = timeOfDay(Date.now() - ended.durationMs);
      },
    };
    for await (const message of callJson(
      target.method,
      requests,
      { ...target.options, registry: target.contract.registry },
      options,
    )) {
      terminal.out(
        `${terminal.interactive && !flags.json ? JSON.stringify(message, null, 2) : JSON.stringify(message)}\n`,
      );
    }
  } finally {
    await target.close();
    if (flags.explain && decision !== null)
      terminal.err(
        flags.json
          ? `${JSON.stringify(decision)}\n`
          : `${paintDecision(explainDecision(decision, { request: name, when }), terminal.errColor)}\n`,
      );
  }
}

async function findTarget(name: string, flags: CallFlags): Promise<CallTarget> {
  if (flags.address !== undefined) return targetByAddress(flags.address, name);
  return targetByControl(controlAddress(flags), name);
}

function parseRequest(text: string): JsonValue {
  try {
    return JSON.parse(text) as JsonValue;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw usage(`the request is no JSON: ${why}; in a shell, quote it: '{"count": 1}'`, cause);
  }
}

async function* linesOfStdin(): AsyncGenerator<JsonValue> {
  for await (const line of createInterface({ input: process.stdin })) if (line.trim() !== "") yield parseRequest(line);
}

function parseHeaders(headers: readonly string[]): Record<string, string[]> {
  const metadata: Record<string, string[]> = {};
  for (const header of headers) {
    const colon = header.indexOf(":");
    if (colon <= 0) {
      throw usage(`"${header}" is no header; write it as name:value`);
    }
    (metadata[header.slice(0, colon).trim().toLowerCase()] ??= []).push(header.slice(colon + 1).trim());
  }
  return metadata;
}
