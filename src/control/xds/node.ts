import type { Node } from "../../contract/gen/envoy/config/core/v3/base.ts";
import { WeftError } from "../../core/errors.ts";
import { isPrintable, printable } from "../../core/printable.ts";
import type { XdsNode } from "./types.ts";

/** What a data plane says of itself in its first request. Throws `invalid_argument` for a node without an id, or one that says too much. */
export function parseNode(node: Node | undefined, address: string): XdsNode {
  const { id = "", cluster = "", userAgentName = "", userAgentVersionType, locality, metadata } = node ?? {};
  if (id === "") {
    throw new WeftError("invalid_argument", "the first request of a stream must name its node: node.id is empty", {
      reason: "NO_NODE",
      place: { field: "node.id" },
    });
  }
  const zone = locality?.zone ?? "";
  for (const [field, value] of Object.entries({ id, cluster, zone, user_agent_name: userAgentName })) {
    if (value.length <= MAX_LENGTH && isPrintable(value)) continue;
    const what = value.length > MAX_LENGTH ? `more than ${MAX_LENGTH}` : "control";
    throw new WeftError("invalid_argument", `node.${field} has ${what} characters`, {
      reason: "BAD_NODE",
      place: { field: `node.${field}` },
    });
  }
  const weft = metadata?.weft;
  const said = typeof weft === "object" && weft !== null && !Array.isArray(weft) ? weft : {};
  const port = (value: unknown) => (typeof value === "number" && value > 0 && value < 65_536 ? Math.floor(value) : 0);
  const text = (value: unknown) =>
    typeof value === "string" && value.length <= MAX_LENGTH && isPrintable(value) ? value : "";
  return Object.freeze({
    id,
    cluster,
    role: roleOf(said.role, cluster, userAgentName),
    zone,
    agent: agentOf(userAgentName, userAgentVersionType),
    inbound: port(said.inbound),
    inboundHost: text(said.inboundHost) || "127.0.0.1",
    outbound: port(said.outbound),
    outboundHost: text(said.outboundHost) || "127.0.0.1",
    app: text(said.app),
    version: text(said.version),
    ...(said.register === false && { registers: false }),
    identity: null,
    address,
  });
}

function roleOf(said: unknown, cluster: string, agent: string): XdsNode["role"] {
  if (said === "gateway" || said === "sidecar" || said === "client") return said;
  if (agent.startsWith("gRPC") || agent.startsWith("grpc")) return "client";
  return cluster === "gateway" ? "gateway" : "sidecar";
}

function agentOf(name: string, type: Node["userAgentVersionType"] | undefined): string {
  if (type?.case === "userAgentVersion") return `${name} ${printable(type.value, MAX_LENGTH)}`;
  const version = type?.case === "userAgentBuildVersion" ? type.value.version : undefined;
  if (version === undefined) return name;
  return `${name} ${version.majorNumber}.${version.minorNumber}.${version.patch}`;
}

const MAX_LENGTH = 256;
