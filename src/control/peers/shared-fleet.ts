import type { CallOptions } from "../../call/client-types.ts";
import type {
  BreakerReport,
  LeaseAsk,
  LeaseRequest,
  LeaseResponseSchema,
  MeetRequest,
  MeetResponseSchema,
} from "../../contract/gen/weft/control/v1/fleet.ts";
import type { MessageInitShape } from "../../contract/runtime.ts";
import type { Fleet } from "../fleet.ts";
import { ownerOf } from "./owner-of.ts";
import type { Peers } from "./peers.ts";

type Meet = MessageInitShape<typeof MeetResponseSchema>;
type Lease = MessageInitShape<typeof LeaseResponseSchema>;

/**
 * What processes decide together, where they are attached to several control planes: each count and each breaker is kept by one of these, by the hash of its key, which the others ask. When
 * control planes come or go, what moves begins anew, as it does when a control plane restarts.
 *
 * While the one that keeps something does not answer, breakers go by what the processes of this one see, and of limits nobody says anything, so that each process keeps to its share.
 */
export class SharedFleet {
  readonly #fleet: Pick<Fleet, "meet" | "lease">;
  readonly #peers: Pick<Peers, "id" | "ids" | "askOne">;

  constructor(fleet: Pick<Fleet, "meet" | "lease">, peers: Pick<Peers, "id" | "ids" | "askOne">) {
    this.#fleet = fleet;
    this.#peers = peers;
  }

  async meet(request: MeetRequest): Promise<Meet> {
    const { process, role, breakers } = request;
    const { ids } = this.#peers;
    const roleAt = ownerOf(`role ${role}`, ids);
    const groups = grouped(breakers, (report) => ownerOf(`breaker ${report.key}`, ids));
    if (!groups.has(roleAt)) groups.set(roleAt, []);
    const words: NonNullable<Meet["breakers"]> = [];
    let peers = 1;
    await Promise.all(
      Array.from(groups, async ([owner, places]) => {
        const part: MeetRequest = {
          ...request,
          role: owner === roleAt ? role : "",
          breakers: places.map((place) => breakers[place] as BreakerReport),
        };
        const own = () => this.#fleet.meet({ ...part, role });
        const answer =
          owner === this.#peers.id
            ? own()
            : ((await this.#at(owner, (fleet, options) =>
                fleet.meet({ process, role: part.role, breakers: part.breakers }, options),
              )) ?? own());
        places.forEach((place, i) => {
          words[place] = answer.breakers?.[i] ?? {};
        });
        if (owner === roleAt) peers = answer.peers ?? 1;
      }),
    );
    return { breakers: words, peers };
  }

  async lease({ process, asks }: LeaseRequest): Promise<Lease> {
    const { ids } = this.#peers;
    const groups = grouped(asks, ({ limit, key }) => ownerOf(`limit ${limit}\n${key}`, ids));
    const grants: NonNullable<Lease["grants"]> = [];
    await Promise.all(
      Array.from(groups, async ([owner, places]) => {
        const part = places.map((place) => asks[place] as LeaseAsk);
        const answer =
          owner === this.#peers.id
            ? this.#fleet.lease({ process, asks: part } as LeaseRequest)
            : await this.#at(owner, (fleet, options) => fleet.lease({ process, asks: part }, options));
        places.forEach((place, i) => {
          grants[place] = answer?.grants?.[i] ?? { unknown: true };
        });
      }),
    );
    return { grants };
  }

  /** Null: it does not answer. */
  #at<A>(owner: string, body: (fleet: FleetClient, options: CallOptions) => Promise<A>): Promise<A | null> {
    return this.#peers.askOne(owner, ({ fleet }, options) => body(fleet, options), ANSWER_MS).catch(() => null);
  }
}

type FleetClient = Parameters<Parameters<Peers["askOne"]>[1]>[0]["fleet"];

/** Places of the items, by owner. */
function grouped<T>(items: readonly T[], ownerOfItem: (item: T) => string): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  items.forEach((item, place) => {
    const owner = ownerOfItem(item);
    const places = groups.get(owner);
    if (places === undefined) groups.set(owner, [place]);
    else places.push(place);
  });
  return groups;
}

/** A process waits a second for it. */
const ANSWER_MS = 500;
