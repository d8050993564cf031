import { createHash, randomBytes } from "node:crypto";
import type { Cancel, Clock } from "../../../core/clock.ts";
import { WeftError } from "../../../core/errors.ts";
import type { Resource } from "../../../policy/resource/resources.ts";
import type { Authority } from "../../authority/authority.ts";
import type { Catalog } from "../../catalog.ts";
import type { ContractStore } from "../../contract-store.ts";
import type { Ledger } from "../../ledger.ts";
import { methodsOf } from "../../resource-check.ts";
import {
  CLUSTER,
  ENDPOINTS,
  ROUTE,
  SECRET,
  type XdsFeed,
  type XdsNode,
  type XdsResource,
  type XdsSnapshot,
  type XdsSource,
} from "../types.ts";
import type { Document } from "./document.ts";
import { EncodedHosts, encodeResource } from "./encode.ts";
import { MeshModel } from "./mesh-model.ts";
import { MeshView, nodeDocuments, type ViewKey } from "./mesh-view.ts";
import { NodeIdentity } from "./node-identity.ts";

export interface MeshSourceParts {
  readonly ledger: Pick<Ledger, "current" | "onChange">;
  readonly catalog: Pick<Catalog, "services" | "get" | "onChange">;
  readonly contracts: Pick<ContractStore, "all">;
  readonly authority: Authority;
  readonly clock: Clock;
}

type Resources = ReadonlyMap<string, ReadonlyMap<string, XdsResource>>;

/**
 * The mesh as Envoys and gRPC clients get it.
 *
 *     ledger, contracts, services -> model -> view (a gateway's, a caller's, a gRPC client's) -> resources, encoded once
 *     an endpoint                 ------------^ its service's clusters and endpoints alone
 *     node                        -> its view + its listeners + its certificate
 *
 * Changes are taken together for SETTLE_MS. A revision of a large system costs much, and whoever publishes one after the other must not leave the control plane time for
 * nothing else: the next one waits until REST times as long has passed as the one before took, at most MAX_REST_MS, and those between are left out. Endpoints do not wait.
 * What comes out the same stays the same object, so that nobody is told of it again.
 */
export class MeshSource implements XdsSource {
  readonly #parts: MeshSourceParts;
  readonly #unfollow: () => void;
  readonly #views = new Map<string, ViewState>();
  readonly #feeds = new Set<Feed>();
  readonly #dirty = new Set<string>();
  readonly #probeToken = randomBytes(16).toString("hex");
  /** Encoded resources by a digest of their documents, of this generation and the one before. */
  #encoded = new Map<string, XdsResource>();
  #before = new Map<string, XdsResource>();
  readonly #hosts = new EncodedHosts();
  #model: MeshModel | null = null;
  #known = "";
  #version = 0;
  #cancel: Cancel | null = null;
  /** When it settles, where `#cancel` is set. */
  #due = 0;
  /** There is a revision, or a contract, that the model is not of. */
  #stale = false;
  /** Before that no other model is made. */
  #restUntil = Number.NEGATIVE_INFINITY;

  constructor(parts: MeshSourceParts) {
    this.#parts = parts;
    parts.ledger.onChange(() => this.#changed(null));
    this.#unfollow = parts.catalog.onChange((service) => this.#changed(service));
  }

  /** Value of `x-weft-probe` by which the control plane asks a data plane for the revision that it enforces. */
  get probeToken(): string {
    return this.#probeToken;
  }

  close(): void {
    this.#cancel?.();
    this.#unfollow();
    for (const feed of this.#feeds) feed.close();
  }

  open(node: XdsNode, changed: () => void): XdsFeed {
    const { identity, cluster } = node;
    if (identity !== null && cluster !== "" && identity !== cluster) {
      throw new WeftError("permission_denied", `the join token is for "${identity}", not for "${cluster}"`, {
        reason: "OTHER_SERVICE",
        place: { field: "node.cluster" },
      });
    }
    const { authority, clock } = this.#parts;
    const feed: Feed = new Feed(this, node, changed, () => this.#feeds.delete(feed));
    if (identity !== null && node.role !== "client") {
      feed.identity = new NodeIdentity(authority, identity, clock, () => feed.refresh(++this.#version));
    }
    this.#feeds.add(feed);
    feed.refresh(++this.#version);
    return feed;
  }

  get model(): MeshModel {
    return (this.#model ??= this.#makeModel());
  }

  viewOf({ role, identity, zone }: XdsNode): ViewState {
    const kind = role === "sidecar" ? "outbound" : role;
    const byZone = this.model.state.resources.some(
      (resource) => resource.kind === "TrafficPolicy" && resource.spec.balancer?.zones?.routing === "failover",
    );
    const key: ViewKey = { role: kind, proven: identity !== null, zone: byZone ? zone : "" };
    const id = JSON.stringify(key);
    let view = this.#views.get(id);
    if (view === undefined) this.#views.set(id, (view = new ViewState(key, this)));
    return view;
  }

  stamp(): { revision: number; token: string } {
    return { revision: this.model.state.revision, token: this.#probeToken };
  }

  encode(typeUrl: string, document: Document): XdsResource {
    if (typeUrl === ROUTE) return this.#hosts.resource(document);
    const key = createHash("sha256").update(typeUrl).update(JSON.stringify(document)).digest("base64");
    let resource = this.#encoded.get(key) ?? this.#before.get(key);
    resource ??= encodeResource(typeUrl, document);
    this.#encoded.set(key, resource);
    return resource;
  }

  #changed(service: string | null): void {
    if (service === null) this.#stale = true;
    else this.#dirty.add(service);
    this.#settleIn(SETTLE_MS);
  }

  #settleIn(ms: number): void {
    const { clock } = this.#parts;
    const due = clock.now() + ms;
    if (this.#cancel !== null && due >= this.#due) return;
    this.#cancel?.();
    this.#due = due;
    this.#cancel = clock.after(ms, () => {
      this.#cancel = null;
      this.#settle();
    });
  }

  #settle(): void {
    if (this.#feeds.size === 0) {
      // Made anew when somebody comes.
      this.#views.clear();
      this.#model = null;
      this.#stale = false;
      this.#dirty.clear();
      return;
    }
    const { clock } = this.#parts;
    const began = clock.now();
    this.#stale ||= this.#model === null || this.#known !== this.#knowledge();
    this.#version++;
    if (this.#stale && began >= this.#restUntil) {
      this.#stale = false;
      this.#model = null;
      this.#before = this.#encoded;
      this.#encoded = new Map();
      this.#hosts.turn();
      for (const view of this.#views.values()) view.rebuild();
      this.#restUntil = clock.now() + Math.min(MAX_REST_MS, REST * (clock.now() - began));
    } else for (const view of this.#views.values()) view.refresh(this.#dirty);
    this.#dirty.clear();
    for (const feed of this.#feeds) feed.refresh(this.#version);
    const used = new Set(Array.from(this.#feeds, ({ view }) => view));
    for (const [id, view] of this.#views) if (!used.has(view)) this.#views.delete(id);
    if (this.#stale) this.#settleIn(Math.max(SETTLE_MS, this.#restUntil - clock.now()));
  }

  /** Which services and methods there are: routes name them. */
  #knowledge(): string {
    const { catalog, contracts } = this.#parts;
    const hash = createHash("sha256");
    for (const { name } of catalog.services()) hash.update(`${name}\n`);
    for (const { service, digest } of contracts.all()) hash.update(`${service} ${digest}\n`);
    return hash.digest("base64");
  }

  #makeModel(): MeshModel {
    const { ledger, catalog, contracts } = this.#parts;
    this.#known = this.#knowledge();
    const { revision, resources } = ledger.current;
    return new MeshModel({
      system: this.#parts.authority.system,
      revision,
      resources: JSON.parse(resources) as Resource[],
      methods: methodsOf(contracts.all()),
      services: catalog
        .services()
        .map(({ name }) => name)
        .sort(),
      endpointsOf: (service) => catalog.get(service)?.endpoints.values() ?? [],
    });
  }
}

/** A view with its resources encoded. */
class ViewState {
  readonly #key: ViewKey;
  readonly #source: MeshSource;
  #view: MeshView;
  resources: Resources = new Map();

  constructor(key: ViewKey, source: MeshSource) {
    this.#key = key;
    this.#source = source;
    this.#view = this.rebuild();
  }

  get view(): MeshView {
    return this.#view;
  }

  rebuild(): MeshView {
    this.#view = new MeshView(this.#source.model, this.#key, this.#source.stamp());
    const made = new Map<string, Map<string, XdsResource>>([
      [CLUSTER, new Map()],
      [ENDPOINTS, new Map()],
    ]);
    for (const [typeUrl, documents] of this.#view.fixed) {
      made.set(
        typeUrl,
        new Map(Array.from(documents, ([name, document]) => [name, this.#source.encode(typeUrl, document)])),
      );
    }
    for (const [typeUrl, name, document] of this.#view.endpointDocuments(null))
      made.get(typeUrl)?.set(name, this.#source.encode(typeUrl, document));
    this.#take(made);
    return this.#view;
  }

  /** Of these services' endpoints something has changed. */
  refresh(services: ReadonlySet<string>): void {
    const made = new Map(this.resources);
    for (const service of services) {
      for (const [typeUrl, name, document] of this.#view.endpointDocuments(service)) {
        const resource = this.#source.encode(typeUrl, document);
        const named = made.get(typeUrl);
        if (named?.get(name) === resource) continue;
        const own = named === this.resources.get(typeUrl) ? new Map(named) : (named as Map<string, XdsResource>);
        own.set(name, resource);
        made.set(typeUrl, own);
      }
    }
    this.#take(made);
  }

  #take(made: Resources): void {
    this.resources = unchanged(made, this.resources);
  }
}

/** One node's resources. */
class Feed implements XdsFeed {
  snapshot: XdsSnapshot | null = null;
  identity: NodeIdentity | null = null;
  readonly #source: MeshSource;
  readonly #node: XdsNode;
  readonly #changed: () => void;
  readonly #closed: () => void;
  #view: MeshView | null = null;
  #own = new Map<string, Map<string, XdsResource>>();
  #http2App: boolean | null = null;
  readonly #merged = new Map<string, Merged>();

  constructor(source: MeshSource, node: XdsNode, changed: () => void, closed: () => void) {
    this.#source = source;
    this.#node = node;
    this.#changed = changed;
    this.#closed = closed;
  }

  get view(): ViewState {
    return this.#source.viewOf(this.#node);
  }

  refresh(version: number): void {
    const state = this.view;
    const { model } = this.#source;
    const http2App = this.#findHttp2App();
    if (this.#view !== state.view || this.#http2App !== http2App) {
      // Listeners and the like are of the revision; of endpoints its own alone concerns them.
      this.#view = state.view;
      this.#http2App = http2App;
      this.#own = this.#ownResources(state);
    }
    const made = new Map<string, ReadonlyMap<string, XdsResource>>(state.resources);
    for (const [typeUrl, own] of this.#own)
      made.set(typeUrl, this.#together(typeUrl, state.resources.get(typeUrl), own));
    if (this.identity !== null) made.set(SECRET, this.identity.secrets);
    const resources = unchanged(made, this.snapshot?.resources ?? new Map(), true);
    const { revision } = model.state;
    if (resources === this.snapshot?.resources && revision === this.snapshot.revision) return;
    const first = this.snapshot === null;
    this.snapshot = Object.freeze({ revision, version: `${revision}.${version}`, resources });
    if (!first) this.#changed();
  }

  /** What its application speaks: gRPC where it has contracts, or what was found out by who registered it. */
  #findHttp2App(): boolean | null {
    const { id, cluster, identity, app } = this.#node;
    if (app === "") return null;
    const { model } = this.#source;
    const service = identity ?? cluster;
    if (model.contractsOf(service).length > 0) return true;
    for (const endpoint of model.state.endpointsOf(service)) if (endpoint.id === id) return endpoint.protocol === "h2c";
    return null;
  }

  /** What it alone gets, beside its view. */
  #ownResources(state: ViewState): Map<string, Map<string, XdsResource>> {
    const { role, cluster, identity, app, inbound, outbound, inboundHost, outboundHost } = this.#node;
    const { model } = this.#source;
    const service = identity ?? cluster;
    const http2App = this.#http2App;
    const place = { service, role, host: inboundHost, outboundHost, inbound, outbound, app, http2App };
    const made = new Map<string, Map<string, XdsResource>>();
    for (const [typeUrl, name, document] of nodeDocuments(state.view, model, place, this.#source.stamp())) {
      let own = made.get(typeUrl);
      if (own === undefined) made.set(typeUrl, (own = new Map()));
      own.set(name, this.#source.encode(typeUrl, document));
    }
    return made;
  }

  /** The same map as long as both are the same. */
  #together(
    typeUrl: string,
    shared: ReadonlyMap<string, XdsResource> | undefined,
    own: ReadonlyMap<string, XdsResource>,
  ): ReadonlyMap<string, XdsResource> {
    if (shared === undefined || shared.size === 0) return own;
    const before = this.#merged.get(typeUrl);
    if (before?.shared === shared && alike(before.own, own)) return before.all;
    const all = new Map(shared);
    for (const [name, resource] of own) all.set(name, resource);
    this.#merged.set(typeUrl, { shared, own, all });
    return all;
  }

  close(): void {
    this.identity?.close();
    this.#closed();
  }
}

interface Merged {
  readonly shared: ReadonlyMap<string, XdsResource>;
  readonly own: ReadonlyMap<string, XdsResource>;
  readonly all: ReadonlyMap<string, XdsResource>;
}

/** `made`, with the maps of `before` that say the same in place of its own; `before` itself where all do. Large maps that
 * `compared` are known to differ where they are not the same object. */
function unchanged(made: Resources, before: Resources, compared = false): Resources {
  const kept = new Map<string, ReadonlyMap<string, XdsResource>>();
  let same = made.size === before.size;
  for (const [typeUrl, named] of made) {
    const known = before.get(typeUrl);
    const equal =
      known === named || (known?.size === named.size && !(compared && named.size > FEW) && alike(known, named));
    kept.set(typeUrl, equal && known !== undefined ? known : named);
    if (!equal) same = false;
  }
  return same ? before : kept;
}

function alike(a: ReadonlyMap<string, XdsResource>, b: ReadonlyMap<string, XdsResource>): boolean {
  for (const [name, resource] of b) if (a.get(name)?.version !== resource.version) return false;
  return true;
}

const FEW = 16;
/** Changes that come together are told together. */
const SETTLE_MS = 5;
/** A fifth of the time goes into models, or a little more where one takes long. */
const REST = 4;
const MAX_REST_MS = 500;
