import { ClientResourceStatus } from "../../contract/gen/envoy/admin/v3/config_dump_shared.ts";
import {
  type ClientConfigSchema,
  ClientStatusDiscoveryService,
  type ClientStatusRequest,
  type ClientStatusResponseSchema,
  ConfigStatus,
} from "../../contract/gen/envoy/service/status/v3/csds.ts";
import type { StringMatcher } from "../../contract/gen/envoy/type/matcher/v3/string.ts";
import type { MessageInitShape } from "../../contract/runtime.ts";
import { WeftError } from "../../core/errors.ts";
import { type ServiceDefinition, service } from "../../service/definition.ts";
import type { XdsStatus, XdsStream } from "./status.ts";
import type { Entry, Subscription } from "./subscription.ts";
import { SECRET } from "./types.ts";

/** CSDS: of each data plane, which resources it has, refuses, or waits for. Secrets are named, never shown. */
export function createClientStatusService(status: XdsStatus): ServiceDefinition<typeof ClientStatusDiscoveryService> {
  return service(ClientStatusDiscoveryService, {
    fetchClientStatus: (request) => answer(status, request),
    async *streamClientStatus(requests) {
      for await (const request of requests) yield answer(status, request);
    },
  });
}

function answer(status: XdsStatus, request: ClientStatusRequest): MessageInitShape<typeof ClientStatusResponseSchema> {
  const matchers = request.nodeMatchers.map(({ nodeId, nodeMetadatas }) => {
    if (nodeMetadatas.length > 0) throw unsupported("node_metadatas", "match by node_id");
    return nodeId;
  });
  const asked = (id: string) => matchers.length === 0 || matchers.some((matcher) => matches(matcher, id));
  const streams = [...status.streams].filter(({ node }) => node.id !== "" && asked(node.id));
  return { config: streams.map((stream) => configOf(stream, !request.excludeResourceContents)) };
}

function configOf(stream: XdsStream, contents: boolean): MessageInitShape<typeof ClientConfigSchema> {
  const { node, machine } = stream;
  const genericXdsConfigs = [];
  for (const subscription of machine.subscriptions) {
    const current = machine.target?.resources.get(subscription.typeUrl);
    for (const [name, entry] of subscription.entries) {
      genericXdsConfigs.push(stateOf(subscription, name, entry, current?.get(name)?.version, contents));
    }
  }
  return {
    node: { id: node.id, cluster: node.cluster, userAgentName: node.agent, locality: { zone: node.zone } },
    genericXdsConfigs,
  };
}

function stateOf(
  { typeUrl }: Subscription,
  name: string,
  entry: Entry,
  current: string | undefined,
  contents: boolean,
) {
  const { has, refused, changedMs } = entry;
  const last = { seconds: BigInt(Math.floor(changedMs / 1_000)), nanos: (changedMs % 1_000) * 1_000_000 };
  const synced = has !== null && has.version === current;
  const isRefused = refused !== null && refused.version === current;
  const shown = contents && typeUrl !== SECRET && has !== null && has.bytes.byteLength > 0;
  return {
    typeUrl,
    name,
    versionInfo: has?.version ?? "",
    ...(changedMs > 0 && { lastUpdated: last }),
    ...(shown && { xdsConfig: { typeUrl, value: has.bytes } }),
    configStatus: isRefused
      ? ConfigStatus.ERROR
      : synced
        ? ConfigStatus.SYNCED
        : current === undefined || has === null
          ? ConfigStatus.NOT_SENT
          : ConfigStatus.STALE,
    clientStatus: isRefused
      ? ClientResourceStatus.NACKED
      : has !== null
        ? ClientResourceStatus.ACKED
        : current === undefined
          ? ClientResourceStatus.DOES_NOT_EXIST
          : ClientResourceStatus.REQUESTED,
    ...(isRefused && { errorState: { details: refused.reason, versionInfo: refused.version } }),
  };
}

function matches(matcher: StringMatcher | undefined, id: string): boolean {
  const pattern = matcher?.matchPattern;
  if (pattern?.case === undefined) return true;
  if (pattern.case === "safeRegex") throw unsupported(`node_id.${pattern.case}`, USE);
  const { case: kind, value } = pattern;
  const fold = (text: string) => (matcher?.ignoreCase ? text.toLowerCase() : text);
  if (kind === "exact") return fold(id) === fold(value);
  if (kind === "prefix") return fold(id).startsWith(fold(value));
  if (kind === "suffix") return fold(id).endsWith(fold(value));
  return fold(id).includes(fold(value));
}

const USE = "use exact, prefix, suffix or contains";

function unsupported(field: string, instead: string): WeftError {
  return new WeftError("unimplemented", `${field} is not supported; ${instead}`, {
    reason: "UNSUPPORTED_MATCHER",
    place: { field: `node_matchers.${field}` },
  });
}
