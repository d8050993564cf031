import { createClient } from "../../call/client.ts";
import type { CallOptions, Client } from "../../call/client-types.ts";
import { createDirectCarrier, type DirectCarrier } from "../../call/direct.ts";
import { Admin } from "../../contract/gen/weft/control/v1/control.ts";
import { Fleet } from "../../contract/gen/weft/control/v1/fleet.ts";
import { Peers as PeersContract } from "../../contract/gen/weft/control/v1/peers.ts";
import type { Clock } from "../../core/clock.ts";
import { type IdentitySource, spiffeId } from "../../core/identity.ts";
import type { ServerCall } from "../../service/server-call.ts";
import type { PeerDirectory, PeerRecord } from "./peer-directory.ts";

/** What a control plane asks another one by. */
export interface PeerClients {
  readonly admin: Client<typeof Admin>;
  readonly fleet: Client<typeof Fleet>;
  readonly peers: Client<typeof PeersContract>;
}

/** What each of the others answered, and the addresses of those that did not. */
export interface PeerAnswers<A> {
  readonly answers: readonly { readonly peer: PeerRecord; readonly answer: A }[];
  readonly silent: readonly string[];
}

export interface PeersOptions {
  readonly directory: Pick<PeerDirectory, "others">;
  /** Of this run. */
  readonly id: string;
  readonly system: string;
  /** As which this control plane shows itself to the others: the system's control plane. */
  readonly identity: IdentitySource;
  readonly clock: Clock;
}

/** The other control planes of the store, over mutual TLS as spiffe://SYSTEM/control. Each answers of its own processes alone. */
export class Peers {
  readonly id: string;
  readonly #options: PeersOptions;
  readonly #open = new Map<string, OpenPeer>();

  constructor(options: PeersOptions) {
    this.id = options.id;
    this.#options = options;
  }

  get others(): readonly PeerRecord[] {
    return this.#options.directory.others;
  }

  /** Of all control planes, this one included. */
  get ids(): readonly string[] {
    return [this.id, ...this.others.map(({ id }) => id)];
  }

  /** Asks all others at once; who does not answer within `timeoutMs` is named. Never rejects. */
  async ask<A>(body: PeerQuestion<A>, timeoutMs = ANSWER_MS): Promise<PeerAnswers<A>> {
    const { others } = this;
    const asked = await Promise.all(others.map((peer) => this.askOne(peer.id, body, timeoutMs).catch(() => null)));
    const silent: string[] = [];
    const answers: { peer: PeerRecord; answer: A }[] = [];
    asked.forEach((answer, i) => {
      if (answer === null) silent.push(others[i].address);
      else answers.push({ peer: others[i], answer });
    });
    return { answers, silent };
  }

  /** Null: there is no such one. Rejects when it does not answer. */
  async askOne<A>(id: string, body: PeerQuestion<A>, timeoutMs = ANSWER_MS): Promise<A | null> {
    const clients = this.#clientsOf(id);
    return clients === null ? null : await body(clients, { timeoutMs, metadata: { [SCOPE]: OWN } });
  }

  async close(): Promise<void> {
    const open = [...this.#open.values()];
    this.#open.clear();
    await Promise.all(open.map(({ direct }) => direct.close()));
  }

  #clientsOf(id: string): PeerClients | null {
    const { others } = this;
    for (const [known, { direct, address }] of this.#open) {
      if (others.some((each) => each.id === known && each.address === address)) continue;
      this.#open.delete(known);
      void direct.close();
    }
    const record = others.find((each) => each.id === id);
    if (record === undefined) return null;
    let peer = this.#open.get(id);
    if (peer === undefined) this.#open.set(id, (peer = this.#connect(record.address)));
    return peer;
  }

  #connect(address: string): OpenPeer {
    const { system, identity, clock } = this.#options;
    const direct = createDirectCarrier(address, {
      clock,
      identity: spiffeId(system, "control"),
      pool: { identity, background: true },
    });
    const { carrier, service, authority } = direct;
    const over = { carrier, service, authority, clock, maxMessageBytes: MAX_ANSWER_BYTES };
    return {
      address,
      direct,
      admin: createClient(Admin, over),
      fleet: createClient(Fleet, over),
      peers: createClient(PeersContract, over),
    };
  }
}

export type PeerQuestion<A> = (peer: PeerClients, options: CallOptions) => Promise<A>;

/** Whether another control plane of the system asks. */
export function isPeer({ peer }: Pick<ServerCall, "peer">, system: string): boolean {
  return peer.secure && peer.identity === spiffeId(system, "control");
}

/** Whether another control plane asks what this one alone knows. */
export function asksOwn(call: Pick<ServerCall, "peer" | "requestHeaders">, system: string): boolean {
  return call.requestHeaders.get(SCOPE) === OWN && isPeer(call, system);
}

interface OpenPeer extends PeerClients {
  readonly address: string;
  readonly direct: DirectCarrier;
}

const SCOPE = "x-weft-scope";
const OWN = "own";
/** People wait for it. */
const ANSWER_MS = 1_000;
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
