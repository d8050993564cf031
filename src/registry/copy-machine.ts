import type { Endpoint, Health } from "../core/endpoint.ts";
import type { EndpointDelta } from "./registry.ts";
import { isSameButHealth } from "./same-endpoint.ts";

/** Metadata of a copy: the name of who copied it. */
export const COPIED_METADATA = "weft.copied-by";

export interface CopyOptions {
  /** Names this copy: what it finds at the target under this name is its own, also after a restart. */
  name: string;
  /** Before the id of each copy. Default "": the same ids. */
  prefix?: string;
  /** Default: all. */
  services?: readonly string[];
}

/** What has to be done at the target. */
export interface CopyPlan {
  /** To be registered, in place of an older copy or anew. */
  readonly register: readonly Endpoint[];
  /** Ids of copies whose endpoint is gone. */
  readonly remove: readonly string[];
  readonly health: readonly { readonly id: string; readonly health: Health }[];
  /** Ids that somebody else has there: they are left alone. */
  readonly conflicts: readonly string[];
}

/**
 * Keeps the endpoints of one registry in another, as a pure machine: what each of them tells in, what has to be done out.
 *
 *     source --delta--> wanted: its endpoints under this copy's name --.
 *                                                                       '--> plan()
 *     target --delta--> what is there --> this copy's own -------------'
 *
 * C1 only what bears this copy's name is changed or removed;  C2 what is a copy already (of whoever) is not copied on, so that copies that go in a circle end;  C3 before both sides
 * were heard of whole, nothing is done;  C4 a plan that was carried out leaves nothing to do.
 */
export class CopyMachine {
  readonly #options: Required<CopyOptions>;
  readonly #source = new Map<string, Endpoint>();
  readonly #target = new Map<string, Endpoint>();
  /** The owner's word that was said last of each copy: what the target shows has its own checks in it. */
  readonly #said = new Map<string, Health>();
  #heard = { source: false, target: false };

  constructor(options: CopyOptions) {
    this.#options = { prefix: "", services: ["*"], ...options };
  }

  source(delta: EndpointDelta): void {
    apply(this.#source, delta);
    this.#heard.source ||= delta.full;
  }

  target(delta: EndpointDelta): void {
    apply(this.#target, delta);
    this.#heard.target ||= delta.full;
    for (const id of this.#said.keys()) if (!this.#isOwn(this.#target.get(id))) this.#said.delete(id);
  }

  plan(): CopyPlan {
    if (!this.#heard.source || !this.#heard.target) return NOTHING;
    const wanted = this.#wanted();
    const register: Endpoint[] = [];
    const health: { id: string; health: Health }[] = [];
    const conflicts: string[] = [];
    for (const [id, endpoint] of wanted) {
      const there = this.#target.get(id);
      if (there === undefined) register.push(endpoint);
      else if (!this.#isOwn(there)) conflicts.push(id);
      else if (!isSameButHealth(there, endpoint)) register.push(endpoint);
      else if (this.#said.get(id) !== endpoint.health) health.push({ id, health: endpoint.health });
    }
    const remove = [...this.#target].filter(([id, there]) => this.#isOwn(there) && !wanted.has(id)).map(([id]) => id);
    return { register, remove, health, conflicts };
  }

  /** A part of the plan was carried out: so it is there now, until the target says otherwise. */
  registered(endpoint: Endpoint): void {
    this.#target.set(endpoint.id, endpoint);
    this.#said.set(endpoint.id, endpoint.health);
  }

  said(id: string, health: Health): void {
    this.#said.set(id, health);
  }

  removed(id: string): void {
    this.#target.delete(id);
    this.#said.delete(id);
  }

  /** The copies that are there. */
  own(): string[] {
    return [...this.#target].filter(([, there]) => this.#isOwn(there)).map(([id]) => id);
  }

  #wanted(): Map<string, Endpoint> {
    const { name, prefix, services } = this.#options;
    const wanted = new Map<string, Endpoint>();
    for (const endpoint of this.#source.values()) {
      if (endpoint.metadata[COPIED_METADATA] !== undefined) continue;
      if (!services.includes("*") && !services.includes(endpoint.service)) continue;
      const id = `${prefix}${endpoint.id}`;
      wanted.set(id, { ...endpoint, id, metadata: { ...endpoint.metadata, [COPIED_METADATA]: name } });
    }
    return wanted;
  }

  #isOwn(endpoint: Endpoint | undefined): boolean {
    return endpoint?.metadata[COPIED_METADATA] === this.#options.name;
  }
}

function apply(state: Map<string, Endpoint>, { full, changed, removed }: EndpointDelta): void {
  if (full) state.clear();
  for (const { id, service } of removed) if (state.get(id)?.service === service) state.delete(id);
  for (const endpoint of changed) state.set(endpoint.id, endpoint);
}

const NOTHING: CopyPlan = { register: [], remove: [], health: [], conflicts: [] };
