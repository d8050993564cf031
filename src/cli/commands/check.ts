import { existsSync, statSync } from "node:fs";
import type { Place } from "../../core/errors.ts";
import { formatPlace, WeftError } from "../../core/errors.ts";
import { findDescription, loadSystem } from "../../host/load-system.ts";
import type { System } from "../../host/resolve-system.ts";
import { type CheckOptions, checkSystem } from "../../policy/check/check-system.ts";
import type { DataPlane } from "../../policy/check/enforcement.ts";
import type { Finding, Severity } from "../../policy/check/finding.ts";
import { finding } from "../../policy/check/finding.ts";
import { sarif } from "../../policy/check/sarif.ts";
import { EXIT } from "../exit-status.ts";
import { readResourceFiles } from "../resource-files.ts";
import { systemDocuments } from "../resources.ts";
import { sanitize, type Terminal } from "../terminal.ts";
import { packageVersion } from "../version.ts";

export interface CheckFlags {
  for?: DataPlane;
  format: "text" | "json" | "sarif";
  strict: boolean;
  json: boolean;
}

/** `weft check`: what is wrong with resources, or with those of a system. */
export async function check(paths: readonly string[], flags: CheckFlags, terminal: Terminal): Promise<number> {
  const findings = await findingsOf(paths, { dataPlane: flags.for ?? null, strict: flags.strict });
  const format = flags.json ? "json" : flags.format;
  if (format === "sarif") terminal.out(`${JSON.stringify(sarif(findings, packageVersion()), null, 2)}\n`);
  else if (format === "json") terminal.out(`${JSON.stringify({ findings, ...counts(findings) }, null, 2)}\n`);
  else print(findings, terminal);
  const { errors, warnings } = counts(findings);
  return errors > 0 || (flags.strict && warnings > 0) ? EXIT.failed : EXIT.ok;
}

async function findingsOf(
  paths: readonly string[],
  asked: Pick<CheckOptions, "dataPlane" | "strict">,
): Promise<Finding[]> {
  const [only = "."] = paths;
  if (paths.length <= 1 && isSystem(only)) {
    let system: System;
    try {
      system = await loadSystem(only);
    } catch (thrown) {
      // What is wrong in a description is a finding like any other; that there is none, or that it cannot be run, is not.
      if (thrown instanceof WeftError && thrown.reason === "INVALID_SYSTEM") return toldOnes(thrown);
      throw thrown;
    }
    return checkSystem(systemDocuments(system), { ...callGraph(system), ...asked });
  }
  try {
    return checkSystem(readResourceFiles(paths), asked);
  } catch (thrown) {
    if (thrown instanceof WeftError && thrown.reason === "INVALID_YAML") return toldOnes(thrown);
    throw thrown;
  }
}

/** A folder with a description, or a description. */
export function isSystem(path: string): boolean {
  if (!existsSync(path)) return false;
  if (/\.[cm]?[jt]s$/.test(path) || /(^|[/\\])weft\.ya?ml$/.test(path)) return true;
  if (!statSync(path).isDirectory()) return false;
  try {
    findDescription(path);
    return true;
  } catch (thrown) {
    if (thrown instanceof WeftError && thrown.reason === "NO_SYSTEM" && path !== ".") return false;
    throw thrown;
  }
}

/** Errors that name their places line by line, as findings. */
function toldOnes(error: WeftError): Finding[] {
  return error.message.split("\n").map((line) => {
    const match = /^([^:\s]+):(\d+)(?::(\d+))?(?: ([^\s:]+))?: (.*)$/.exec(line);
    if (match === null) return finding("invalid-resource", error.place ?? {}, line);
    const [, file, at, column, field, message] = match;
    const place: Place = { file, line: Number(at), ...(column && { column: Number(column) }), ...(field && { field }) };
    return finding("invalid-resource", place, message);
  });
}

/** Who calls whom, by the needs of the description. */
function callGraph({
  units,
  file,
  locate,
  gateway,
}: System): Pick<CheckOptions, "services" | "versions" | "needs" | "placeOfNeeds" | "listeners"> {
  const serviceOf = new Map(units.map(({ name, service }) => [name, service]));
  const needs = new Map<string, string[]>();
  for (const { service, needs: wanted } of units) {
    const callees = needs.get(service) ?? [];
    for (const unit of wanted) {
      const callee = serviceOf.get(unit) ?? unit;
      if (!callees.includes(callee) && callee !== service) callees.push(callee);
    }
    if (callees.length > 0) needs.set(service, callees);
  }
  const versions = new Map<string, string[]>();
  for (const { service, version } of units)
    if (version !== "") versions.set(service, [...(versions.get(service) ?? []), version]);
  return {
    versions,
    ...(gateway !== null && { listeners: gateway.listeners }),
    services: [...new Set(units.map(({ service }) => service))],
    needs,
    placeOfNeeds: (service) => ({
      file,
      ...locate(["services", service, "needs"]),
      field: `services.${service}.needs`,
    }),
  };
}

function counts(findings: readonly Finding[]): { errors: number; warnings: number; notes: number } {
  const of = (severity: Severity): number => findings.filter((one) => one.severity === severity).length;
  return { errors: of("error"), warnings: of("warning"), notes: of("note") };
}

function print(findings: readonly Finding[], { out, color }: Terminal): void {
  const paint = { error: color.red, warning: color.yellow, note: color.dim };
  for (const { id, severity, place, message, suggestion, related } of findings) {
    const where = formatPlace(place);
    const line = `${where === "" ? "" : `${where}: `}${paint[severity](severity)}: ${sanitize(message, false)} ${color.dim(`[${id}]`)}`;
    out(`${line}\n`);
    if (suggestion !== "") out(`  ${sanitize(suggestion, false)}\n`);
    for (const other of related) out(color.dim(`  ${formatPlace(other.place)}: ${sanitize(other.message, false)}\n`));
  }
  const { errors, warnings, notes } = counts(findings);
  const parts = [
    [errors, "error"],
    [warnings, "warning"],
    [notes, "note"],
  ] as const;
  const said = parts.filter(([count]) => count > 0).map(([count, word]) => `${count} ${word}${count === 1 ? "" : "s"}`);
  out(`${said.length === 0 ? "nothing found" : said.join(", ")}\n`);
}
