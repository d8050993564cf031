import {
  ControlPlaneViewSchema,
  type EndpointView,
  type ExplainCallRequest,
  ExplainCallResponseSchema,
  ListProcessesResponseSchema,
  type ListServicesRequest,
  ListServicesResponseSchema,
  type PublishRevisionRequest,
  RevisionSchema,
  StatusSchema,
} from "../../contract/gen/weft/control/v1/control.ts";
import type { LeaseRequest, MeetRequest } from "../../contract/gen/weft/control/v1/fleet.ts";
import { DeliverySchema, type GetTopologyRequest } from "../../contract/gen/weft/control/v1/mesh.ts";
import {
  type GetSettingsRequest,
  GetSettingsResponseSchema,
  type PublishSettingsRequest,
} from "../../contract/gen/weft/control/v1/settings.ts";
import { create, type DescMessage, type MessageShape } from "../../contract/runtime.ts";
import { WeftError } from "../../core/errors.ts";
import type { ServerInterceptor, ServerRequest, ServerResponse } from "../../service/interceptor.ts";
import { roleOfMethod } from "../access/method-roles.ts";
import type { Hub } from "../hub.ts";
import type { Leader } from "../leader.ts";
import { topologyOf } from "../mesh/topology.ts";
import { asksOwn, type Peers } from "./peers.ts";
import { partOfMessage } from "./peers-service.ts";
import type { SharedFleet } from "./shared-fleet.ts";

export interface GatherParts {
  readonly hub: Hub;
  readonly peers: Peers;
  readonly leader: Leader;
  readonly fleet: SharedFleet;
  /** Where this control plane is reached. */
  readonly address: () => string;
}

/**
 * What a control plane knows of its own processes alone is asked of all: whoever asks any of them gets the whole, with the names of those that did not answer. What another control
 * plane asks is answered of the own processes alone.
 */
export function gather(parts: GatherParts): ServerInterceptor {
  const { hub } = parts;
  return (next) => async (request) => {
    const { method, call } = request;
    if (hub.cutOff && method.methodKind !== "unary" && roleOfMethod(method) === "process")
      throw new WeftError("unavailable", "this control plane does not reach the registry, and another one does", {
        reason: "CUT_OFF",
        retryable: true,
      });
    const gathered = GATHERED[`${method.parent.typeName.slice(PACKAGE.length)}/${method.name}`];
    if (gathered === undefined || asksOwn(call, hub.authority.system)) return next(request);
    return { message: await gathered(parts, request, async () => (await next(request)) as OwnAnswer) };
  };
}

type OwnAnswer = ServerResponse & { readonly message: object };
type Gathered = (parts: GatherParts, request: ServerRequest, own: () => Promise<OwnAnswer>) => Promise<object>;

const PACKAGE = "weft.control.v1.";

const GATHERED: Readonly<Record<string, Gathered>> = {
  "Admin/GetStatus": async ({ hub, peers, leader, address }, _request, own) => {
    const answer = read(StatusSchema, await own());
    const view = (id: string, at: string, leads: boolean) => create(ControlPlaneViewSchema, { id, address: at, leads });
    const others = peers.others.map(({ id, address: at }) => view(id, at, id === leader.holder));
    const self = view(peers.id, address(), leader.leading);
    const { answers } = await peers.ask(({ admin }, options) => admin.getStatus({}, options));
    const processes = answers.reduce((sum, each) => sum + each.answer.processes, hub.sessions.size);
    return { ...answer, processes, controlPlanes: [self, ...others] };
  },

  "Admin/ListProcesses": async ({ peers, address }, _request, own) => {
    const [answer, { answers, silent }] = await Promise.all([
      own().then((own) => read(ListProcessesResponseSchema, own)),
      peers.ask(({ admin }, options) => admin.listProcesses({}, options)),
    ]);
    const at = (controlPlane: string, list: typeof answer.processes) =>
      list.map((process) => ({ ...process, controlPlane }));
    const theirs = answers.flatMap(({ peer, answer }) => at(peer.address, answer.processes));
    return { processes: [...at(address(), answer.processes), ...theirs], silentControlPlanes: [...silent] };
  },

  "Admin/ListServices": async ({ peers }, request, own) => {
    const { services } = request.message as ListServicesRequest;
    const [answer, { answers, silent }] = await Promise.all([
      own().then((own) => read(ListServicesResponseSchema, own)),
      // What they add is checks and loads.
      peers.ask(({ admin }, options) => admin.listServices({ services, stale: true }, options)),
    ]);
    const theirs = new Map<string, EndpointView[]>();
    for (const { answer } of answers)
      for (const view of answer.services.flatMap((each) => each.endpoints)) {
        const id = view.endpoint?.id ?? "";
        theirs.set(id, [...(theirs.get(id) ?? []), view]);
      }
    for (const { endpoints } of answer.services)
      for (const view of endpoints) for (const more of theirs.get(view.endpoint?.id ?? "") ?? []) addTo(view, more);
    return { ...answer, silentControlPlanes: [...silent] };
  },

  "Admin/GetTopology": async ({ hub, peers }, request) => {
    const asked = request.message as GetTopologyRequest;
    const waitMs = 1_000 + asked.probeTimeoutMs;
    let silent: readonly string[] = [];
    const topology = await topologyOf(hub, asked, async () => {
      const { probeTimeoutMs } = asked;
      const told = await peers.ask(({ peers: at }, options) => at.seeMesh({ probeTimeoutMs }, options), waitMs);
      silent = told.silent;
      return told.answers.map(({ answer }) => partOfMessage(answer));
    });
    const problems = silent.map((address) => ({
      kind: "silent",
      subject: `control plane ${address}`,
      message: "does not answer: the data planes that are attached there are not shown",
    }));
    return { ...topology, problems: [...problems, ...(topology.problems ?? [])] };
  },

  "Admin/ExplainCall": async ({ peers }, request, own) => {
    const { requestId, timeoutMs } = request.message as ExplainCallRequest;
    const waitMs = 1_000 + Math.min(timeoutMs || 2_000, 10_000);
    const [answer, { answers, silent }] = await Promise.all([
      own().then((own) => read(ExplainCallResponseSchema, own)),
      peers.ask(({ admin }, options) => admin.explainCall({ requestId, timeoutMs }, options), waitMs),
    ]);
    const all = [answer, ...answers.map((each) => each.answer)];
    return {
      processes: all.flatMap(({ processes }) => processes),
      silent: [...all.flatMap((each) => each.silent), ...silent.map((address) => `control plane ${address}`)],
      asked: all.reduce((sum, { asked }) => sum + asked, 0),
    };
  },

  "Admin/GetSettings": async ({ peers }, request, own) => {
    const { $typeName: _, $unknown: __, ...asked } = request.message as GetSettingsRequest;
    const [answer, { answers }] = await Promise.all([
      own().then((own) => read(GetSettingsResponseSchema, own)),
      peers.ask(({ admin }, options) => admin.getSettings(asked, options)),
    ]);
    return { ...answer, consumers: [...answer.consumers, ...answers.flatMap((each) => each.answer.consumers)] };
  },

  "Admin/PublishRevision": (...asked) => delivered(...asked),
  "Admin/RollbackRevision": (...asked) => delivered(...asked),
  "Admin/PublishSettings": (...asked) => delivered(...asked),

  "Fleet/Meet": ({ fleet }, request) => fleet.meet(request.message as MeetRequest),
  "Fleet/Lease": ({ fleet }, request) => fleet.lease(request.message as LeaseRequest),
};

/** What was published came to the data planes of all. */
const delivered: Gathered = async ({ hub, peers }, request, own) => {
  const { waitMs = 0, validateOnly = false } = request.message as Partial<
    Pick<PublishRevisionRequest, "waitMs" | "validateOnly">
  >;
  const began = hub.clock.now();
  const answer = read(RevisionSchema, await own());
  if (waitMs === 0 || validateOnly) return answer;
  // What was waited for here is time that they had, too.
  const leftMs = Math.round(Math.max(500, waitMs - (hub.clock.now() - began)));
  const { changes = [] } = request.message as Partial<Pick<PublishSettingsRequest, "changes">>;
  const namespaces = [...new Set(changes.map(({ namespace }) => namespace))];
  const ask = { revision: answer.revision, waitMs: leftMs, namespaces };
  const { answers, silent } = await peers.ask(({ peers: at }, options) => at.seeDelivery(ask, options), leftMs + 1_000);
  const all = [answer.delivery ?? create(DeliverySchema), ...answers.map((each) => each.answer)];
  const sum = (of: "planes" | "applied") => all.reduce((total, each) => total + each[of], 0);
  const delivery = create(DeliverySchema, {
    planes: sum("planes"),
    applied: sum("applied"),
    refused: all.flatMap(({ refused }) => refused),
    waiting: [...all.flatMap(({ waiting }) => waiting), ...silent.map((address) => `control plane ${address}`)],
  });
  return { ...answer, delivery };
};

/** What the one that checks it, or that its process is attached to, knows of an endpoint. */
function addTo(view: EndpointView, more: EndpointView): void {
  view.check ||= more.check;
  view.checkMessage ||= more.checkMessage;
  view.process ||= more.process;
  view.load ??= more.load;
}

/** A handler's answer, all of whose fields are there. */
function read<S extends DescMessage>(schema: S, { message }: OwnAnswer): MessageShape<S> {
  return create(schema, message as never);
}
