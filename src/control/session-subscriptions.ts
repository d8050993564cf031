import type { Subscribe } from "../contract/gen/weft/control/v1/control.ts";
import { WeftError } from "../core/errors.ts";
import { assertServiceName, CONTRACT_NAME } from "../registry/validate.ts";
import type { ServiceState } from "./catalog.ts";
import type { StoredContract } from "./contract-store.ts";
import type { Hub } from "./hub.ts";
import type { Session } from "./session.ts";
import type { Subscriber } from "./subscriber.ts";

export interface SessionSubscriptionsOptions {
  hub: Hub;
  session: Session;
  subscriber: Subscriber;
  /** Whether the versions that it knows are of this run. */
  sameEpoch: () => boolean;
  /** It follows this service now; "*": all of them. */
  onFollowed: (service: string) => void;
}

/** The services, contracts or ("*") everything that one attached process follows. */
export class SessionSubscriptions {
  readonly #options: SessionSubscriptionsOptions;
  /** As the process named them. */
  readonly names = new Set<string>();
  #wantsContracts = false;

  constructor(options: SessionSubscriptionsOptions) {
    this.#options = options;
  }

  /** Acknowledged when it has been told all there is of them, or with what is wrong. */
  subscribe({ requestId, services, contracts }: Subscribe): void {
    const { hub, subscriber, onFollowed } = this.#options;
    try {
      if (this.names.size + services.length > hub.limits.maxSubscriptions) {
        const text = `at most ${hub.limits.maxSubscriptions} subscriptions are allowed`;
        throw new WeftError("resource_exhausted", text, { reason: "TOO_MANY_SUBSCRIPTIONS" });
      }
      for (const { name } of services)
        if (name !== "*" && !CONTRACT_NAME.test(name)) assertServiceName(name, "services");
      hub.registry.seek?.(services.map(({ name }) => name));
      const states: ServiceState[] = [];
      for (const { name, knownVersion } of services) {
        this.names.add(name);
        if (!name.includes(".")) onFollowed(name);
        states.push(...this.#follow(name, Number(knownVersion)));
      }
      if (contracts && !this.#wantsContracts) {
        this.#wantsContracts = true;
        for (const contract of hub.contracts.all()) this.contractChanged(contract);
      }
      subscriber.acknowledgeAfter(states, { requestId });
    } catch (thrown) {
      subscriber.refuse(requestId, thrown);
    }
  }

  /** A service turned out to serve a contract that the process named. */
  addService(service: string): ServiceState {
    const { hub, subscriber, onFollowed } = this.#options;
    const state = hub.catalog.subscribe(service, subscriber);
    subscriber.add(state, null);
    onFollowed(service);
    return state;
  }

  contractChanged({ service, encoded }: StoredContract): void {
    if (this.#wantsContracts) this.#options.subscriber.contract(service, encoded);
  }

  close(): void {
    const { hub, subscriber } = this.#options;
    hub.catalog.unsubscribe(subscriber, subscriber.services);
  }

  #follow(name: string, knownVersion: number): ServiceState[] {
    const { hub, session, subscriber, sameEpoch } = this.#options;
    const { catalog, contracts } = hub;
    if (name === "*") {
      const states = [...catalog.subscribeAll(subscriber)];
      for (const state of states) subscriber.add(state, null);
      return states;
    }
    if (name.includes(".")) {
      hub.followContract(name, session);
      return contracts.servicesOf(name).map((service) => this.addService(service));
    }
    const state = catalog.subscribe(name, subscriber);
    subscriber.add(state, knownVersion > 0 && sameEpoch() ? state.sequenceOf(knownVersion) : null);
    return [state];
  }
}
