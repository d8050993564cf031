import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import type { Endpoint } from "../../core/endpoint.ts";
import { WeftError } from "../../core/errors.ts";
import { assertEndpoint } from "../../registry/validate.ts";

/**
 * Endpoints that a person lists in a file, YAML or JSON:
 *
 *     services:
 *       payments:
 *         - 10.0.0.6:9001                       # short form
 *         - { address: "[::1]:9002", id: pay-2, version: v2, zone: eu-1, weight: 2, protocol: h2, metadata: { rack: "7" } }
 *
 * `id` defaults to "SERVICE/ADDRESS", `protocol` to h2c, `weight` to 1. Throws `invalid_argument` with file, line, column and field of the first
 * error; unknown fields are errors.
 */
export function parseEndpointFile(text: string, file: string): Endpoint[] {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, strict: true });
  const fail = (node: unknown, field: string, problem: string): never => {
    const range = (node as Node | null | undefined)?.range;
    const at = range ? lines.linePos(range[0]) : { line: 1, col: 1 };
    throw new WeftError("invalid_argument", `${file}:${at.line}:${at.col} ${field}: ${problem}`, {
      reason: "INVALID_ENDPOINT_FILE",
      place: { file, line: at.line, column: at.col, field },
    });
  };
  const [error] = document.errors;
  if (error !== undefined) {
    const at = lines.linePos(error.pos[0]);
    throw new WeftError("invalid_argument", `${file}:${at.line}:${at.col} ${error.message.split("\n")[0]}`, {
      reason: "INVALID_ENDPOINT_FILE",
      place: { file, line: at.line, column: at.col },
    });
  }
  const root: unknown = document.contents;
  if (root === null) return [];
  if (!isMap(root)) return fail(root, "(file)", 'must be a map with the key "services"');
  const endpoints: Endpoint[] = [];
  const ids = new Set<string>();
  for (const { key, value } of root.items) {
    if (String(key) !== "services") fail(key, String(key), 'is not known; the only key is "services"');
    if (!isMap(value)) return fail(value ?? key, "services", "must be a map of service names to lists of endpoints");
    for (const { key: name, value: list } of value.items) {
      const service = String(name);
      if (!isSeq(list)) return fail(list ?? name, `services.${service}`, "must be a list of endpoints");
      for (const [index, item] of list.items.entries()) {
        const field = `services.${service}[${index}]`;
        const endpoint = parseItem(service, item, field, fail);
        try {
          assertEndpoint(endpoint);
        } catch (thrown) {
          fail(item, field, (thrown as Error).message);
        }
        if (ids.has(endpoint.id))
          fail(item, field, `the id "${endpoint.id}" is taken by another endpoint; give one of them an "id"`);
        ids.add(endpoint.id);
        endpoints.push(endpoint);
      }
    }
  }
  return endpoints;
}

type Fail = (node: unknown, field: string, problem: string) => never;

const FIELDS = new Set(["address", "id", "version", "zone", "weight", "protocol", "metadata"]);

function parseItem(service: string, item: unknown, field: string, fail: Fail): Endpoint {
  let given: Record<string, unknown> = {};
  if (isScalar(item)) given.address = item.value;
  else if (isMap(item)) given = item.toJSON() as Record<string, unknown>;
  else fail(item, field, 'must be "HOST:PORT" or a map with an "address"');
  for (const name of Object.keys(given)) {
    if (!FIELDS.has(name)) fail(item, `${field}.${name}`, `is not known; fields are ${[...FIELDS].join(", ")}`);
  }
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(String(given.address ?? ""));
  if (match === null)
    return fail(item, `${field}.address`, 'must be "HOST:PORT"; IPv6 addresses in brackets: "[::1]:9000"');
  return Object.freeze({
    id: String(given.id ?? `${service}/${given.address}`),
    service,
    host: match[1] ?? match[2],
    port: Number(match[3]),
    version: String(given.version ?? ""),
    zone: String(given.zone ?? ""),
    weight: (given.weight ?? 1) as number,
    protocol: (given.protocol ?? "h2c") as Endpoint["protocol"],
    health: "healthy",
    metadata: (given.metadata ?? {}) as Record<string, string>,
  });
}
