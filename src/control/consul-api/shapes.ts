import { createHash } from "node:crypto";
import { isIP } from "node:net";
import { HEALTH_CHECK_METADATA } from "../../call/health/health-check.ts";
import type { Endpoint } from "../../core/endpoint.ts";
import { TAGS_METADATA, tagsOf } from "../../core/endpoint-tags.ts";
import type { CheckDefinition, CheckStatus } from "./check-definition.ts";
import type { ConsulAgent } from "./consul-agent.ts";
import type { ConsulView } from "./consul-view.ts";
import { formatGoDuration } from "./go-duration.ts";

/** What this control plane calls itself as a node of Consul's. */
export interface OwnNode {
  readonly name: string;
  readonly address: string;
  readonly datacenter: string;
}

/** Where the things of the registry appear in Consul's forms. Of endpoints that were not registered by this API the node is their host. */
export class Shapes {
  readonly #own: OwnNode;
  readonly #view: ConsulView;
  readonly #agent: ConsulAgent;
  readonly #describe: (id: string) => { readonly check: string; readonly message: string };

  constructor(
    own: OwnNode,
    view: ConsulView,
    agent: ConsulAgent,
    describe: (id: string) => { readonly check: string; readonly message: string },
  ) {
    this.#own = own;
    this.#view = view;
    this.#agent = agent;
    this.#describe = describe;
  }

  nodeOf(endpoint: Endpoint): string {
    const mark = this.#view.marks.get(endpoint.id);
    if (mark === undefined) return endpoint.host;
    return mark.node || this.#own.name;
  }

  serviceId(endpoint: Endpoint): string {
    return this.#view.marks.get(endpoint.id)?.serviceId ?? endpoint.id;
  }

  node(name: string, address: string): Record<string, unknown> {
    const own = name === this.#own.name;
    const at = own ? this.#own.address : address;
    return {
      ID: nodeId(name),
      Node: name,
      Address: at,
      Datacenter: this.#own.datacenter,
      TaggedAddresses: { lan: at, wan: at },
      Meta: {},
      CreateIndex: 1,
      ModifyIndex: 1,
    };
  }

  /** In `/v1/agent/services`. */
  agentService(endpoint: Endpoint): Record<string, unknown> {
    return {
      ID: this.serviceId(endpoint),
      Service: endpoint.service,
      Tags: tagsOf(endpoint),
      Meta: metaOf(endpoint),
      Port: endpoint.port,
      Address: endpoint.host,
      ...taggedAddresses(endpoint),
      Weights: { Passing: consulWeight(endpoint), Warning: 1 },
      EnableTagOverride: false,
      Datacenter: this.#own.datacenter,
    };
  }

  /** In `/v1/catalog/service/NAME`. */
  catalogService(endpoint: Endpoint): Record<string, unknown> {
    const index = this.#view.indexOf({ kind: "service", service: endpoint.service });
    const node = this.node(this.nodeOf(endpoint), endpoint.host);
    return {
      ID: node.ID,
      Node: node.Node,
      Address: node.Address,
      Datacenter: node.Datacenter,
      TaggedAddresses: node.TaggedAddresses,
      NodeMeta: {},
      ServiceKind: "",
      ServiceID: this.serviceId(endpoint),
      ServiceName: endpoint.service,
      ServiceTags: tagsOf(endpoint),
      ServiceAddress: endpoint.host,
      ...taggedAddresses(endpoint, "ServiceTaggedAddresses"),
      ServiceWeights: { Passing: consulWeight(endpoint), Warning: 1 },
      ServiceMeta: metaOf(endpoint),
      ServicePort: endpoint.port,
      ServiceSocketPath: "",
      ServiceEnableTagOverride: false,
      CreateIndex: index,
      ModifyIndex: index,
    };
  }

  /** In `/v1/health/service/NAME`. */
  healthEntry(endpoint: Endpoint): { Node: unknown; Service: Record<string, unknown>; Checks: Check[] } {
    const index = this.#view.indexOf({ kind: "service", service: endpoint.service });
    return {
      Node: this.node(this.nodeOf(endpoint), endpoint.host),
      Service: { ...this.agentService(endpoint), CreateIndex: index, ModifyIndex: index },
      Checks: this.checks(endpoint),
    };
  }

  /** Every check of an endpoint: those it was registered with, weft's own where it has none that is run, and maintenance. Their worst is its state. */
  checks(endpoint: Endpoint): Check[] {
    const mark = this.#view.marks.get(endpoint.id);
    const checks = (mark?.checks ?? []).map((check) => {
      const { status, output } = this.#agent.statusOf(endpoint, check);
      return this.#check(endpoint, check, status, output);
    });
    if (mark === undefined || mark.checks.length === 0) checks.push(this.#ownCheck(endpoint));
    if (endpoint.health === "draining") {
      const id = `_service_maintenance:${this.serviceId(endpoint)}`;
      const notes = mark === undefined ? "it is draining" : "Maintenance mode is enabled for this service.";
      checks.push(
        this.#check(
          endpoint,
          { id, name: "Service Maintenance Mode", kind: "ttl", notes },
          "critical",
          "",
          "maintenance",
        ),
      );
    }
    return checks;
  }

  #ownCheck(endpoint: Endpoint): Check {
    const { check, message } = this.#describe(endpoint.id);
    const [kind] = (check || endpoint.metadata[HEALTH_CHECK_METADATA] || "tcp").split(/[ :]/, 1);
    const unhealthy = endpoint.health === "unhealthy";
    const definition = {
      id: `service:${this.serviceId(endpoint)}`,
      name: "weft health check",
      kind: kind as CheckDefinition["kind"],
    };
    return this.#check(endpoint, definition, unhealthy ? "critical" : "passing", message);
  }

  #check(
    endpoint: Endpoint,
    check: CheckDefinition,
    status: CheckStatus,
    output: string,
    type: string = check.kind,
  ): Check {
    const index = this.#view.indexOf({ kind: "service", service: endpoint.service });
    return {
      Node: this.nodeOf(endpoint),
      CheckID: check.id,
      Name: check.name,
      Status: status,
      Notes: check.notes ?? "",
      Output: output,
      ServiceID: this.serviceId(endpoint),
      ServiceName: endpoint.service,
      ServiceTags: tagsOf(endpoint),
      Type: type,
      Interval: "",
      Timeout: "",
      ExposedPort: 0,
      Definition: {
        ...(check.ttlMs !== undefined && { TTL: formatGoDuration(check.ttlMs) }),
        ...(check.reapMs !== undefined && { DeregisterCriticalServiceAfter: formatGoDuration(check.reapMs) }),
      },
      CreateIndex: index,
      ModifyIndex: index,
    };
  }
}

export interface Check {
  readonly CheckID: string;
  readonly Status: CheckStatus;
  readonly [field: string]: unknown;
}

/** "maintenance" before "critical" before "warning" before "passing". */
export function worstOf(checks: readonly Check[]): CheckStatus | "maintenance" {
  if (checks.some(({ Type }) => Type === "maintenance")) return "maintenance";
  for (const status of ["critical", "warning"] as const)
    if (checks.some((check) => check.Status === status)) return status;
  return "passing";
}

/** Metadata without what has fields of its own; with those of weft's that Consul has no field for. */
function metaOf(endpoint: Endpoint): Record<string, string> {
  const meta: Record<string, string> = {};
  for (const [name, value] of Object.entries(endpoint.metadata))
    if (name !== TAGS_METADATA && !name.startsWith("weft.")) meta[name] = value;
  if (endpoint.metadata["weft.consul"] !== undefined) return meta; // as it was registered
  if (endpoint.version !== "") meta.version ??= endpoint.version;
  if (endpoint.zone !== "") meta.zone ??= endpoint.zone;
  meta.protocol ??= endpoint.protocol;
  return meta;
}

function taggedAddresses({ host, port }: Endpoint, name = "TaggedAddresses"): Record<string, unknown> {
  const version = isIP(host);
  if (version === 0) return {};
  const at = { Address: host, Port: port };
  return { [name]: { [`lan_ipv${version}`]: at, [`wan_ipv${version}`]: at } };
}

/** Consul's are whole and at least 1. */
function consulWeight({ weight }: Endpoint): number {
  return Math.max(1, Math.round(weight));
}

/** The same for the same name, in the form of a UUID. */
export function nodeId(name: string): string {
  const hex = createHash("sha256").update(`weft node ${name}`).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
