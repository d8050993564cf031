import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { parseHostPort } from "../../core/address.ts";
import type { Endpoint, Protocol } from "../../core/endpoint.ts";
import { withTags } from "../../core/endpoint-tags.ts";
import { WeftError } from "../../core/errors.ts";
import { assertEndpoint } from "../../registry/validate.ts";

export interface EndpointFlags {
  service?: string;
  address?: string;
  id?: string;
  endpointVersion?: string;
  zone?: string;
  weight?: number;
  protocol?: string;
  metadata: string[];
  tag?: string[];
  file?: string;
}

/** An endpoint of flags, or of a file (YAML or JSON) with the same fields, which flags go before. Throws `invalid_argument` that names the field, and the file. */
export function endpointOfFlags(flags: EndpointFlags): Endpoint {
  const written = flags.file === undefined ? {} : readFields(flags.file);
  const address = flags.address ?? textOf(written, "address", flags.file);
  const service = flags.service ?? textOf(written, "service", flags.file);
  if (service === "") throw invalid("service", "is missing: --service NAME", flags.file);
  if (address === "") throw invalid("address", "is missing: --address HOST:PORT", flags.file);
  const at = parseHostPort(address);
  if (at === null)
    throw invalid(
      "address",
      `must be HOST:PORT or [IPV6]:PORT, not ${JSON.stringify(address.slice(0, 80))}`,
      flags.file,
    );
  const { weight = 1, metadata = {} } = written;
  if (typeof weight !== "number") throw invalid("weight", "must be a number", flags.file);
  if (typeof metadata !== "object" || metadata === null || Array.isArray(metadata))
    throw invalid("metadata", "must be a map of texts", flags.file);
  const { tags = [] } = written;
  if (!Array.isArray(tags) || !tags.every((tag) => typeof tag === "string" && tag !== ""))
    throw invalid("tags", "must be a list of texts", flags.file);
  if ((flags.tag ?? []).includes("")) throw invalid("tags", "must not be empty: --tag TAG");
  const endpoint: Endpoint = {
    id: flags.id ?? (textOf(written, "id", flags.file) || `${service}/${address}`),
    service,
    host: at.host,
    port: at.port,
    version: flags.endpointVersion ?? textOf(written, "version", flags.file),
    zone: flags.zone ?? textOf(written, "zone", flags.file),
    weight: flags.weight ?? weight,
    protocol: (flags.protocol ?? (textOf(written, "protocol", flags.file) || "h2c")) as Protocol,
    health: "healthy",
    metadata: withTags({ ...(metadata as Record<string, string>), ...metadataOf(flags.metadata) }, [
      ...(tags as string[]),
      ...(flags.tag ?? []),
    ]),
  };
  assertEndpoint(endpoint);
  return endpoint;
}

const FIELDS = ["service", "address", "id", "version", "zone", "weight", "protocol", "tags", "metadata"];

function readFields(file: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw invalid(
      "(file)",
      `cannot be read: ${cause instanceof Error ? cause.message.split("\n")[0] : cause}`,
      file,
      cause,
    );
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw invalid("(file)", "must be one endpoint: a map with service and address", file);
  const unknown = Object.keys(value).find((name) => !FIELDS.includes(name));
  if (unknown !== undefined) throw invalid(unknown, `is not known; fields are ${FIELDS.join(", ")}`, file);
  return value as Record<string, unknown>;
}

function textOf(fields: Record<string, unknown>, name: string, file: string | undefined): string {
  const value = fields[name] ?? "";
  if (typeof value === "string") return value;
  throw invalid(name, "must be a text", file);
}

function metadataOf(pairs: readonly string[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const pair of pairs) {
    const at = pair.indexOf("=");
    if (at < 1) throw invalid("metadata", `must be NAME=VALUE, not ${JSON.stringify(pair.slice(0, 80))}`);
    found[pair.slice(0, at)] = pair.slice(at + 1);
  }
  return found;
}

function invalid(field: string, problem: string, file?: string, cause?: unknown): WeftError {
  return new WeftError("invalid_argument", `${file === undefined ? "" : `${file}: `}${field} ${problem}`, {
    reason: "INVALID_ENDPOINT",
    place: { field, ...(file !== undefined && { file }) },
    cause,
  });
}
