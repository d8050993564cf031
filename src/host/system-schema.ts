import type { JsonSchema } from "../policy/resource/json-schema.ts";
import { anyResource, resourceSchemas } from "../policy/resource/resource-schema.ts";

/**
 * The JSON Schema of `weft.yaml`: the description of a system, and resources, alone or in documents after it. What is checked when it is read (resolve-system.ts,
 * the shapes of resources) is more exact: this is for editors.
 */
export function weftSchema(): object {
  const resources = resourceSchemas();
  const resource = anyResource((kind) => `#/$defs/${kind}`);
  const named = { properties: { kind: true }, required: ["kind"] };
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "weft.yaml: a system, and resources (routes and policies)",
    ...hoisted(
      // biome-ignore lint/suspicious/noThenProperty: JSON Schema's word
      { if: named, then: { $ref: "#/$defs/resource" }, else: { $ref: "#/$defs/system" } },
      {
        system: SYSTEM,
        resource,
        ...resources,
      },
    ),
  };
}

const text = (description: string): JsonSchema => ({ type: "string", description });
const whole = (description: string, minimum: number, maximum: number): JsonSchema => ({
  type: "integer",
  description,
  minimum,
  maximum,
});
const texts: JsonSchema = { anyOf: [{ type: "string" }, { type: "array", items: { type: "string" } }] };
const address: JsonSchema = { anyOf: [{ type: "integer", minimum: 0, maximum: 65_535 }, { type: "string" }] };

function fields(properties: Record<string, JsonSchema>, required: readonly string[] = []): JsonSchema {
  return { type: "object", properties, ...(required.length === 0 ? {} : { required }), additionalProperties: false };
}

function worded(schema: JsonSchema, description: string): JsonSchema {
  return typeof schema === "boolean" ? schema : { ...schema, description };
}

const RUN: Record<string, JsonSchema> = {
  run: worded(texts, 'A .ts or .js file, run by Node; or a command with its arguments: ["python3", "app.py"]'),
  replicas: whole("Instances. Default 1", 0, 1_000),
  env: {
    type: "object",
    description: "Added to the environment of its processes",
    additionalProperties: { type: ["string", "number", "boolean"] },
  },
  cwd: text("Where its processes run. Default: the description's folder"),
};

const SERVICE = fields({
  ...RUN,
  version: text('The version of its instances, when it has only one: "v1"'),
  versions: {
    type: "object",
    description: "Several versions side by side; what one leaves out it takes from the service",
    additionalProperties: fields(RUN),
  },
  needs: worded(texts, 'Services (or "products@v1") that must be healthy first, and that stop after this one'),
  register: {
    enum: ["self", "host"],
    description: "Who registers its instances. Default: self for files, host for commands",
  },
  protocol: {
    enum: ["h2c", "http1", "tcp", "udp"],
    description: "What it speaks on PORT, where weft registers it. Default: HTTP/2 or HTTP/1.1, whichever answers",
  },
  sidecar: {
    description: "A proxy beside each instance, which calls to it and from it go through. Default: none",
    anyOf: [
      { type: "boolean" },
      { const: "envoy" },
      fields({
        proxy: { enum: ["weft", "envoy"], description: "Default weft" },
        egress: { enum: ["any", "mesh"], description: "What may be called through it. Default any" },
        dns: {
          type: "boolean",
          description: "Answer DNS queries with virtual addresses, at WEFT_DNS of the application",
        },
        virtualPorts: {
          description: "Ports of virtual addresses. Default 80, 8080 and 50051",
          type: "array",
          items: { type: "integer", minimum: 1, maximum: 65_535 },
        },
      }),
    ],
  },
  mtls: { enum: ["strict", "permissive", "off"], description: "How it takes calls. Default: the system's" },
  readyTimeoutMs: whole("Time from a process's start until it is healthy. Default 60,000", 100, 3_600_000),
  drainMs: whole("Time for calls in flight when an instance stops. Default 10,000", 0, 3_600_000),
  restart: { enum: ["always", "never"], description: "Default always" },
});

const inline: JsonSchema = { type: "array", items: { $ref: "#/$defs/resource" } };

const SYSTEM = fields(
  {
    name: text('Lower-case letters, digits and "-"'),
    gateway: {
      description: "The system's entry; false: none",
      anyOf: [
        { const: false },
        fields({
          listen: worded(address, 'A port of 127.0.0.1, or "host:port". Default 8080'),
          admin: worded(address, "Where metrics and health are served"),
          tls: fields({ cert: text("PEM file"), key: text("PEM file") }, ["cert", "key"]),
          trustedProxies: worded(
            texts,
            'Load balancers in front, by address or network ("10.0.0.0/8"), whose x-forwarded-* is believed. Default: none',
          ),
          proxyProtocol: worded(
            texts,
            "Load balancers in front that say by a header of the PROXY protocol who connects, by address or network; from them it must come. Default: none",
          ),
          listeners: {
            type: "object",
            description:
              'Beside HTTP, by name: "tcp:5432", "udp:53", "tls:0.0.0.0:443" (passed through, routed by server name)',
            additionalProperties: { type: "string", pattern: "^(tcp|udp|tls):" },
          },
        }),
      ],
    },
    dns: {
      description: "Answers DNS queries for the services' names below weft. Default: nobody does",
      ...(fields({
        listen: worded(address, 'A port of 127.0.0.1 (UDP and TCP), or "host:port". Default 5353'),
        allow: worded(texts, 'Who is answered, by address or network ("10.0.0.0/8"). Default: this machine alone'),
        ttl: whole("Seconds that answers may be kept. Default 5", 0, 86_400),
      }) as object),
    },
    consul: {
      description: "Serves Consul's API for services and health. Default: nobody does",
      ...(fields({ listen: worded(address, 'A port of 127.0.0.1, or "host:port". Default 8500') }) as object),
    },
    services: { type: "object", description: "By name", additionalProperties: SERVICE },
    routes: worded(inline, "Where calls go"),
    policies: worded(inline, "What may happen to calls"),
    resources: {
      description: "Both; a string names a YAML file of resources",
      anyOf: [
        { type: "string" },
        { type: "array", items: { anyOf: [{ type: "string" }, { $ref: "#/$defs/resource" }] } },
      ],
    },
    contracts: worded(texts, 'Folders with .proto files. Default "proto", if there is one'),
    mtls: {
      enum: ["strict", "permissive", "off"],
      description: "How services take calls, unless one says otherwise. Default permissive",
    },
    sharedLimits: {
      description: "Where limits of the whole system are kept: a Redis url.",
      type: "string",
      pattern: "^rediss?://",
    },
    registry: {
      description: "Where endpoints are kept: a url. Default: with the control plane",
      type: "string",
      pattern: "^(etcd|consul|zookeeper|kubernetes|postgres|dns)://",
    },
    mode: {
      enum: ["available", "consistent"],
      description: "Whether the registry answers from what it knows, or only what it can confirm. Default available",
    },
    store: {
      description:
        "Where revisions are kept, and what else control planes share: a url. Default: with the control plane",
      type: "string",
      pattern: "^(etcd|consul|zookeeper|kubernetes|postgres|git)://",
    },
    settings: {
      description: "First values of settings, by namespace and key: each is set when nobody has set it",
      type: "object",
      additionalProperties: { type: "object" },
    },
    load: worded(texts, "A load driver, run by weft up --load N"),
    try: worded(texts, 'Requests to show when the system is ready: "GET /v1/products"'),
  },
  ["name", "services"],
);

/** Schemas that stand in several places are written once, under $defs: half of the file. */
function hoisted(root: JsonSchema, defs: Record<string, JsonSchema>): object {
  const seen = new Map<object, number>();
  const count = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    const times = (seen.get(value) ?? 0) + 1;
    seen.set(value, times);
    if (times === 1) for (const part of Object.values(value)) count(part);
  };
  for (const schema of Object.values(defs)) count(schema);
  const names = new Map<object, string>();
  const out: Record<string, unknown> = {};
  const place = (value: unknown, top: boolean): unknown => {
    if (typeof value !== "object" || value === null) return value;
    const known = names.get(value);
    if (known !== undefined) return { $ref: `#/$defs/${known}` };
    const shared = !top && (seen.get(value) ?? 0) > 1 && isSchema(value) && JSON.stringify(value).length > 120;
    if (shared) {
      const name = `shared${names.size + 1}`;
      names.set(value, name);
      out[name] = copy(value);
      return { $ref: `#/$defs/${name}` };
    }
    return copy(value);
  };
  const copy = (value: object): unknown =>
    Array.isArray(value)
      ? value.map((part) => place(part, false))
      : Object.fromEntries(Object.entries(value).map(([key, part]) => [key, place(part, false)]));
  const own = Object.fromEntries(Object.entries(defs).map(([name, schema]) => [name, place(schema, true)]));
  return { ...(root as object), $defs: { ...own, ...out } };
}

function isSchema(value: object): boolean {
  return "type" in value || "anyOf" in value || "enum" in value;
}
