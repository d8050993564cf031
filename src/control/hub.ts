import type { EndpointLoad } from "../contract/gen/weft/control/v1/control.ts";
import type { Clock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import type { MutualTls } from "../core/identity.ts";
import { EndpointTable } from "../policy/balance/endpoint-table.ts";
import { Snapshot } from "../policy/snapshot/snapshot.ts";
import { StateKeeper } from "../policy/snapshot/state-keeper.ts";
import type { Registry } from "../registry/registry.ts";
import { RefusedCounts } from "./access/refused-counts.ts";
import type { Authority } from "./authority/authority.ts";
import type { JoinTokens } from "./authority/join-tokens.ts";
import type { Catalog } from "./catalog.ts";
import { CatchUp } from "./catch-up.ts";
import type { ContractStore } from "./contract-store.ts";
import type { HealthChecker } from "./health-checker.ts";
import type { Ledger } from "./ledger.ts";
import type { ControlLimits } from "./limits.ts";
import type { DataPlaneSource, DataPlaneState } from "./mesh/data-plane.ts";
import { TrafficStore } from "./mesh/traffic-store.ts";
import { RegistryView } from "./registry-view.ts";
import { ResourceScopes, servicesNamedBy } from "./resource-scopes.ts";
import type { Session } from "./session.ts";
import type { SettingsCentre } from "./settings/settings-centre.ts";

/** Who may publish resources over the line: whoever has the operator's token, or anyone who reaches the port. */
export type Publishers = "operator" | "anyone";

/** What the sessions of a control plane share. */
export class Hub {
  readonly registry: Registry;
  readonly catalog: Catalog;
  readonly contracts: ContractStore;
  readonly ledger: Ledger;
  readonly settings: SettingsCentre;
  readonly checker: HealthChecker;
  readonly authority: Authority;
  readonly tokens: JoinTokens;
  /** Who may publish resources. */
  readonly publishers: Publishers;
  readonly clock: Clock;
  readonly limits: Readonly<ControlLimits>;
  /** Unique to this run. */
  readonly epoch: string;
  readonly defaultTtlMs: number;
  readonly sessions: Set<Session>;
  /** Endpoint id to the load that its process reported last. */
  readonly loads = new Map<string, EndpointLoad>();
  /** Endpoint id to who holds its lease. */
  readonly owners = new Map<string, Session>();
  /** Calls by backend, as data planes tell of them. */
  readonly traffic: TrafficStore;
  /** Who tells of data planes that have no session: Envoys, gRPC clients. */
  readonly planeSources = new Set<DataPlaneSource>();
  /** Each ends the streams of data planes that have no session; they come back. */
  readonly otherLines = new Set<() => void>();
  /** Who was refused something, and why. */
  readonly refused = new RefusedCounts();
  /** It does not reach what control planes share, and another one does: whoever is attached would lose its leases. */
  cutOff = false;
  /** Told of endpoints whose process's line broke, for whom another control plane checks. */
  onSuspects: (ids: readonly string[]) => void = () => {};
  /** Processes that know more of the ledger than it does here. */
  readonly catchUp: CatchUp;
  /** How old what is known of endpoints is. */
  readonly view: RegistryView;
  #scopes: ResourceScopes | null = null;
  #probing: Promise<unknown> | null = null;
  /** Of the current revision, for whoever looks; null before. */
  #snapshot: Snapshot | null = null;
  /** Subscribers to a contract's name, who are told of every service that serves it. */
  readonly #byContract = new Map<string, Set<Session>>();

  constructor(parts: HubParts) {
    this.sessions = parts.sessions;
    this.registry = parts.registry;
    this.catalog = parts.catalog;
    this.contracts = parts.contracts;
    this.ledger = parts.ledger;
    this.settings = parts.settings;
    this.checker = parts.checker;
    this.authority = parts.authority;
    this.tokens = parts.tokens;
    this.publishers = parts.publishers;
    this.clock = parts.clock;
    this.limits = parts.limits;
    this.epoch = parts.epoch;
    this.defaultTtlMs = parts.defaultTtlMs;
    this.traffic = new TrafficStore(parts.clock);
    this.catchUp = new CatchUp(parts.ledger, parts.clock);
    this.view = new RegistryView(parts.registry, parts.clock, () => {
      for (const session of this.sessions) session.viewCaughtUp();
    });
    this.authority.onChange(() => {
      for (const session of this.sessions) session.trustChanged();
    });
    this.#seekBackends();
    this.ledger.onChange(() => {
      this.#seekBackends();
      for (const session of this.sessions) session.resourcesChanged();
      this.settings.changed();
    });
    this.contracts.onChange((contract) => {
      this.catalog.setMethods(contract.service, contract.methods);
      const scopesChanged = this.scopes.usesContracts;
      for (const session of this.sessions) {
        session.subscriptions.contractChanged(contract);
        if (scopesChanged) session.scopeChanged();
      }
      for (const name of contract.contracts) {
        for (const session of this.#byContract.get(name) ?? []) session.subscriptions.addService(contract.service);
      }
    });
  }

  /** Looks at nothing any more. */
  close(): void {
    this.catchUp.close();
    this.view.close();
  }

  /** The current revision in parts. */
  get scopes(): ResourceScopes {
    const { line, current } = this.ledger;
    const { revision } = current;
    if (this.#scopes === null || this.#scopes.revision !== revision || this.#scopes.ledger !== line) {
      const { resources, texts } = this.ledger.resources;
      this.#scopes = new ResourceScopes(revision, resources, texts, this.contracts, this.#scopes, line);
    }
    return this.#scopes;
  }

  /** Where services cannot be listed, those that routes send calls to are looked for by name. */
  #seekBackends(): void {
    if (this.registry.seek === undefined) return;
    this.registry.seek(this.ledger.resources.resources.flatMap((resource) => [...servicesNamedBy(resource)]));
  }

  /** What the current revision says of mutual TLS at a service. */
  mutualTls(service: string): MutualTls {
    const { revision } = this.ledger.current;
    if (this.#snapshot?.revision !== revision) {
      const { resources } = this.ledger.resources;
      this.#snapshot = new Snapshot(revision, resources, [], new EndpointTable(), new StateKeeper());
    }
    return this.#snapshot.mutualTls(service);
  }

  /** Every data plane that is attached. */
  *planes(): Generator<DataPlaneState> {
    for (const session of this.sessions) {
      const plane = session.dataPlane;
      if (plane !== null) yield plane;
    }
    for (const source of this.planeSources) yield* source();
  }

  /** Finds out anew what each data plane enforces. Who asks while that is under way waits for it: however many look, each is asked once at a time. */
  async probe(timeoutMs: number): Promise<void> {
    this.#probing ??= Promise.all(Array.from(this.planes(), (plane) => plane.probe(timeoutMs))).finally(() => {
      this.#probing = null;
    });
    await this.#probing;
  }

  /** Throws `resource_exhausted` when there are too many processes. */
  attach(session: Session): void {
    if (this.sessions.size >= this.limits.maxProcesses) {
      throw new WeftError(
        "resource_exhausted",
        `${this.sessions.size} processes are attached, which is this control plane's limit`,
        {
          reason: "TOO_MANY_PROCESSES",
        },
      );
    }
    this.sessions.add(session);
  }

  detach(session: Session): void {
    this.sessions.delete(session);
    this.traffic.forget(session.id);
    for (const name of session.subscriptions.names) {
      const sessions = this.#byContract.get(name);
      sessions?.delete(session);
      if (sessions?.size === 0) this.#byContract.delete(name);
    }
    const suspects: string[] = [];
    for (const id of session.leaseIds()) {
      if (this.owners.get(id) !== session) continue;
      suspects.push(id);
      this.owners.delete(id);
      this.loads.delete(id);
      // A line that broke is often a process that died: the probe finds out at once, the lease would only later.
      this.checker.suspect(id);
    }
    if (suspects.length > 0) this.onSuspects(suspects);
  }

  followContract(name: string, session: Session): void {
    let sessions = this.#byContract.get(name);
    if (sessions === undefined) this.#byContract.set(name, (sessions = new Set()));
    sessions.add(session);
  }
}

export interface HubParts {
  sessions: Set<Session>;
  registry: Registry;
  catalog: Catalog;
  contracts: ContractStore;
  ledger: Ledger;
  settings: SettingsCentre;
  checker: HealthChecker;
  authority: Authority;
  tokens: JoinTokens;
  publishers: Publishers;
  clock: Clock;
  limits: Readonly<ControlLimits>;
  epoch: string;
  defaultTtlMs: number;
}
