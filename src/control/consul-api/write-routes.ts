import { isIP } from "node:net";
import type { Endpoint } from "../../core/endpoint.ts";
import { alreadyThere, isSamePlace } from "../../registry/same-place.ts";
import { type CheckStatus, parseCheck, statusOf } from "./check-definition.ts";
import type { ConsulAgent } from "./consul-agent.ts";
import type { ConsulView } from "./consul-view.ts";
import { Fields } from "./fields.ts";
import { isSet, type Queries } from "./queries.ts";
import { bad, unknown, unsupported } from "./refusal.ts";
import { type ParsedRegistration, parseRegistration, withCheck, withoutCheck } from "./registration.ts";
import type { ConsulAnswer, ConsulRequest, Routes } from "./router.ts";
import type { OwnNode, Shapes } from "./shapes.ts";

export interface WriteParts {
  readonly own: OwnNode;
  readonly view: ConsulView;
  readonly agent: ConsulAgent;
  readonly shapes: Shapes;
  readonly queries: Queries;
  /** Rejects unless who shows the token may change anything. */
  readonly assertMayWrite: (token: string) => Promise<void>;
  /** Throws unless who shows the token may register, or take away, this endpoint. */
  readonly assertMayRegister: (endpoint: Endpoint, token: string) => void;
}

/** What is changed: services and checks of the agent, and entries of the catalog. */
export function writeRoutes(parts: WriteParts): Routes {
  const { own, view, agent, shapes, queries } = parts;
  const may = ({ query, token }: ConsulRequest, more: readonly string[] = []): Promise<void> => {
    queries.check(query, more);
    return parts.assertMayWrite(token);
  };
  const register = async (registration: ParsedRegistration, { token }: ConsulRequest): Promise<void> => {
    const { endpoint } = registration;
    const before = view.get(endpoint.id);
    // What was registered in this way is replaced, as Consul does it; what was not is not this API's.
    if (before !== undefined && !view.marks.has(before.id) && !isSamePlace(before, endpoint))
      throw alreadyThere(before);
    parts.assertMayRegister(endpoint, token);
    await agent.register(registration);
  };
  /** The endpoint's id of a service that was registered at this agent. */
  const idOf = (serviceId: string): string | null => (view.marks.get(serviceId)?.node === "" ? serviceId : null);
  const deregister = async (id: string, { token }: ConsulRequest): Promise<void> => {
    const endpoint = view.get(id);
    if (endpoint !== undefined) parts.assertMayRegister(endpoint, token);
    await agent.deregister(id);
  };
  const say = (status: CheckStatus) => async (request: ConsulRequest) => {
    await may(request, ["note"]);
    await agent.update(request.params[0], status, request.query.get("note") ?? "");
    return DONE;
  };

  return {
    "PUT /v1/agent/service/register": async (request) => {
      await may(request, ["replace-existing-checks"]);
      await register(parseRegistration(request.json(), { node: "", address: request.peerHost }), request);
      return DONE;
    },
    "PUT /v1/agent/service/deregister/:id": async (request) => {
      await may(request);
      const [serviceId] = request.params;
      const id = idOf(serviceId);
      if (id === null)
        throw unknown(
          `Unknown service ID ${JSON.stringify(serviceId.slice(0, 128))}. Ensure that the service ID is passed, not the service name.`,
        );
      await deregister(id, request);
      return DONE;
    },
    "PUT /v1/agent/service/maintenance/:id": async (request) => {
      await may(request, ["enable", "reason"]);
      if (!request.query.has("enable")) throw bad("is missing: true or false", "enable");
      const [serviceId] = request.params;
      const id = idOf(serviceId);
      if (id === null) throw unknown(`Unknown service ID ${JSON.stringify(serviceId.slice(0, 128))}`);
      await agent.maintain(id, isSet(request.query, "enable"), request.query.get("reason") ?? "");
      return DONE;
    },
    "PUT /v1/agent/check/register": async (request) => {
      await may(request);
      const body = request.json();
      const serviceId = new Fields(body, "").text("ServiceID");
      if (serviceId === "")
        throw unsupported("a check without ServiceID", "checks belong to services; nodes have none");
      const id = idOf(serviceId);
      const endpoint = id === null ? undefined : view.get(id);
      const mark = id === null ? undefined : view.marks.get(id);
      if (endpoint === undefined || mark === undefined)
        throw bad(`${JSON.stringify(serviceId.slice(0, 128))} is not registered at this agent`, "ServiceID");
      const name = new Fields(body, "").text("Name");
      if (name === "") throw bad("is missing", "Name");
      const check = parseCheck(body, "", name, endpoint);
      const changed = withCheck(endpoint, mark, check);
      parts.assertMayRegister(changed.endpoint, request.token);
      await agent.change(changed.endpoint, changed.mark, {
        id: check.definition.id,
        status: check.status ?? "critical",
      });
      return DONE;
    },
    "PUT /v1/agent/check/deregister/:id": async (request) => {
      await may(request);
      const [checkId] = request.params;
      const found = agent.checkById(checkId);
      const endpoint = found === null ? undefined : view.get(found.id);
      if (found === null || endpoint === undefined)
        throw unknown(
          `Unknown check ID ${JSON.stringify(checkId.slice(0, 128))}. Ensure that the check ID is passed, not the check name.`,
        );
      const changed = withoutCheck(endpoint, found.mark, found.check);
      parts.assertMayRegister(changed.endpoint, request.token);
      await agent.change(changed.endpoint, changed.mark);
      return DONE;
    },
    "PUT /v1/agent/check/pass/:id": say("passing"),
    "PUT /v1/agent/check/warn/:id": say("warning"),
    "PUT /v1/agent/check/fail/:id": say("critical"),
    "PUT /v1/agent/check/update/:id": async (request) => {
      await may(request);
      const fields = new Fields(request.json(), "");
      const status = statusOf(fields.text("Status"), "Status") ?? "passing";
      const output = fields.text("Output");
      fields.done();
      await agent.update(request.params[0], status, output);
      return DONE;
    },

    "PUT /v1/catalog/register": async (request) => {
      await may(request);
      await registerInCatalog(request, own, register);
      return { json: true };
    },
    "PUT /v1/catalog/deregister": async (request) => {
      await may(request);
      const fields = new Fields(request.json(), "");
      const { node } = placeOf(fields, own, request.peerHost);
      const serviceId = fields.text("ServiceID");
      const checkId = fields.text("CheckID");
      fields.done();
      if (checkId !== "") throw unsupported("CheckID", "deregister the check by /v1/agent/check/deregister");
      const name = node || own.name;
      const found = [...view.endpoints()].filter(
        (endpoint) =>
          shapes.nodeOf(endpoint) === name && (serviceId === "" || shapes.serviceId(endpoint) === serviceId),
      );
      for (const endpoint of found) await deregister(endpoint.id, request);
      return { json: true };
    },
  };
}

/** One service of a node, which somebody else looks after: checks say what he found, and nobody probes it here unless they ask for it. */
async function registerInCatalog(
  request: ConsulRequest,
  own: OwnNode,
  register: (registration: ParsedRegistration, request: ConsulRequest) => Promise<void>,
): Promise<void> {
  const fields = new Fields(request.json(), "");
  const place = placeOf(fields, own, request.peerHost);
  const service = fields.take("Service");
  if (service === undefined) throw unsupported("a node without Service", "nodes are there while they have services");
  fields.take("ID"); // of the node, which is made of its name here
  fields.flag("SkipNodeUpdate");
  fields.empty(["NodeMeta"], (field) => unsupported(field, "put it into Meta of the service"));
  for (const [name, at] of Object.entries((fields.take("TaggedAddresses") ?? {}) as object))
    if (at !== "" && at !== place.address) throw unsupported(`TaggedAddresses.${name}`, "a node has one address");
  const check = fields.take("Check");
  const checks = [...(check === undefined ? [] : [check]), ...fields.list("Checks")];
  fields.done();
  await register(parseRegistration(service, place, checks), request);
}

function placeOf(fields: Fields, own: OwnNode, peerHost: string): { node: string; address: string } {
  const datacenter = fields.text("Datacenter");
  if (datacenter !== "" && datacenter !== own.datacenter)
    throw bad(`there is one, ${JSON.stringify(own.datacenter)}`, "Datacenter");
  fields.empty(["Namespace", "Partition"], (field) => unsupported(field, "there is one namespace"));
  const node = fields.text("Node");
  const address = fields.text("Address");
  if (node === "") throw bad("is missing", "Node");
  // Part of an endpoint's id.
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(node))
    throw bad("must be 1 to 63 letters, digits or any of . _ -", "Node");
  return { node: node === own.name ? "" : node, address: address || (isIP(node) === 0 ? peerHost : node) };
}

const DONE: ConsulAnswer = {};
