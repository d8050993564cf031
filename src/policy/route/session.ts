import type { Endpoint } from "../../core/endpoint.ts";
import { cookieOf, fieldOf } from "../../core/fields.ts";
import { hashText } from "../balance/hash.ts";
import { durationMs } from "../resource/duration.ts";
import type { SessionPersistence } from "../resource/resources.ts";

/**
 * A rule's session persistence (Gateway API GEP-1619), compiled: a token in a cookie or header names the endpoint that a caller's calls go to.
 *
 *     token   <endpoint>.<began>.<last seen>      a 64-bit hash of the endpoint's id, seconds since the epoch; all base 36
 *
 * The token names nothing but an endpoint of the rule's backends: one that is none of them (any more) is as good as no token, so that nobody can choose an
 * address with it, and an id is not shown. Its times bound how long calls stay together and protect nothing: they are not signed.
 */
export class SessionKeeper {
  readonly type: "Cookie" | "Header";
  /** Lower-case for headers. */
  readonly name: string;
  readonly idleMs: number;
  readonly absoluteMs: number;
  readonly permanent: boolean;
  readonly #crossSite: boolean;
  /** Endpoints of groups by their hash, as of a revision of the group. */
  readonly #members = new WeakMap<SessionGroup, { revision: number; slots: Map<string, number> }>();

  /** `crossSite`: pages of other sites may use it, with credentials. */
  constructor(spec: SessionPersistence, defaultName: string, crossSite: boolean) {
    const { type = "Cookie", sessionName = defaultName, idleTimeout, absoluteTimeout, cookieConfig } = spec;
    this.type = type;
    this.name = type === "Header" ? sessionName.toLowerCase() : sessionName;
    this.idleMs = idleTimeout === undefined ? Number.POSITIVE_INFINITY : durationMs(idleTimeout);
    this.absoluteMs = absoluteTimeout === undefined ? Number.POSITIVE_INFINITY : durationMs(absoluteTimeout);
    this.permanent = cookieConfig?.lifetimeType === "Permanent";
    this.#crossSite = crossSite;
  }

  /** The token that a request bears, when it looks like one and is not too old; null otherwise. */
  tokenOf(fields: readonly string[], wallMs: number): SessionToken | null {
    const value = this.type === "Header" ? fieldOf(fields, this.name) : cookieOf(fields, this.name);
    return value === undefined ? null : this.#parse(value, wallMs);
  }

  /** The slot of the endpoint that a token names, -1 when it is not in the group. */
  slotOf(token: SessionToken, group: SessionGroup, endpoints: readonly (Endpoint | null)[]): number {
    let members = this.#members.get(group);
    if (members === undefined || members.revision !== group.revision) {
      const slots = new Map<string, number>();
      for (const slot of group.slots) {
        const endpoint = endpoints[slot];
        if (endpoint !== null) slots.set(hashOf(endpoint.id), slot);
      }
      members = { revision: group.revision, slots };
      this.#members.set(group, members);
    }
    return members.slots.get(token.endpoint) ?? -1;
  }

  /**
   * The field that gives the caller its session, [name, value]; null when the token that it has (`token`) will do. `path`: of the route's match that took the call.
   */
  fieldFor(
    endpointId: string,
    token: SessionToken | null,
    path: string,
    wallMs: number,
    secure: boolean,
  ): readonly [string, string] | null {
    const endpoint = hashOf(endpointId);
    const now = Math.floor(wallMs / 1000);
    const same = token !== null && token.endpoint === endpoint;
    // Said again only when a tenth of the idle time is over, so that not every answer sets a cookie.
    if (same && (now - token.seen) * 1000 < this.idleMs / 10) return null;
    const began = same ? token.began : now;
    const value = `${endpoint}.${began.toString(36)}.${now.toString(36)}`;
    if (this.type === "Header") return [this.name, value];
    // GEP-1619 would have Strict: then a link from another site, which a person follows, would lose the session.
    const site = this.#crossSite && secure ? "None" : "Lax";
    const left = Math.max(1, Math.ceil(this.absoluteMs / 1000) - (now - began));
    const kept = this.permanent ? `; Max-Age=${left}` : "";
    return [
      "set-cookie",
      `${this.name}=${value}; Path=${path}${kept}; HttpOnly; SameSite=${site}${secure ? "; Secure" : ""}`,
    ];
  }

  #parse(value: string, wallMs: number): SessionToken | null {
    if (value.length > 40) return null;
    const match = TOKEN.exec(value);
    if (match === null) return null;
    const began = Number.parseInt(match[2], 36);
    const seen = Number.parseInt(match[3], 36);
    if (wallMs - began * 1000 > this.absoluteMs || wallMs - seen * 1000 > this.idleMs) return null;
    return { endpoint: match[1], began, seen };
  }
}

export interface SessionToken {
  readonly endpoint: string;
  /** Seconds since the epoch. */
  readonly began: number;
  readonly seen: number;
}

/** A balancer's group. */
export interface SessionGroup {
  readonly slots: readonly number[];
  /** Another whenever the members are. */
  readonly revision: number;
}

const TOKEN = /^([0-9a-z]{14})\.([0-9a-z]{1,8})\.([0-9a-z]{1,8})$/;

function hashOf(id: string): string {
  const half = (seed: number): string => (hashText(id, seed) >>> 0).toString(36).padStart(7, "0");
  return half(0x5e55) + half(0x10a1);
}
