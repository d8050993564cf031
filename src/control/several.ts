import type { Clock } from "../core/clock.ts";
import { WeftError } from "../core/errors.ts";
import type { Registry } from "../registry/registry.ts";
import type { ServerInterceptor } from "../service/interceptor.ts";
import type { KeyValue } from "../settings/key-value.ts";
import type { AuthorityOptions } from "./authority/authority.ts";
import { SharedAuthority } from "./authority/shared-authority.ts";
import type { Fleet } from "./fleet.ts";
import type { HealthChecker } from "./health-checker.ts";
import type { Hub } from "./hub.ts";
import { createLeader, type Leader } from "./leader.ts";
import { CutOff } from "./peers/cut-off.ts";
import { gather } from "./peers/gather.ts";
import { PeerDirectory } from "./peers/peer-directory.ts";
import { Peers } from "./peers/peers.ts";
import { SharedFleet } from "./peers/shared-fleet.ts";

export interface SeveralOptions {
  readonly store: KeyValue;
  readonly clock: Clock;
  /** Unique to this run. */
  readonly id: string;
  readonly system: string;
  /** The same for all of them. */
  readonly operatorToken: string;
  readonly onEvent: (message: string) => void;
  /** Default 2,000. */
  readonly meetEveryMs?: number;
}

/** Becomes one of the control planes of a store. Rejects `failed_precondition` without the operator's token (NO_OPERATOR_TOKEN), or with another one than theirs (WRONG_OPERATOR_TOKEN). */
export async function joinOthers(options: SeveralOptions): Promise<Several> {
  assertShareable(options.operatorToken);
  const keeper = new SharedAuthority(options);
  await keeper.assertToken();
  return new Several(options, keeper);
}

/**
 * One control plane of several over one store: who leads, where the others are, and what is asked of them.
 *
 *     opened (stands for leader) --served(): found by others--> asks and is asked --close(): leads no more, not found any more
 */
class Several {
  readonly leader: Leader;
  readonly authority: Required<Pick<AuthorityOptions, "keeper" | "leads">>;
  readonly #options: SeveralOptions;
  #address = "";
  #directory: PeerDirectory | null = null;
  #peers: Peers | null = null;
  #cutOff: CutOff | null = null;

  constructor(options: SeveralOptions, keeper: SharedAuthority) {
    const { store, id, clock, meetEveryMs = 2_000 } = options;
    this.#options = options;
    this.leader = createLeader({ store, id, clock, leaseMs: 3 * meetEveryMs });
    this.authority = { keeper, leads: () => this.leader.leading };
  }

  /** What enforces policy among the data planes of the other control planes. */
  get enforcing(): readonly string[] {
    return this.#directory?.others.flatMap(({ enforcing }) => enforcing) ?? [];
  }

  /** Control planes of the store that are known, this one included. */
  get count(): number {
    return 1 + (this.#directory?.others.length ?? 0);
  }

  /** Checks health while this one leads. */
  check(checker: HealthChecker): void {
    const follow = (leading: boolean) => (leading ? checker.start() : checker.close());
    this.leader.onChange(follow);
    if (this.leader.leading) follow(true);
  }

  /** Around the control plane's calls. */
  interceptor(hub: Hub, fleet: Fleet, enforcing: () => readonly string[]): ServerInterceptor {
    const { store, clock, id, system, meetEveryMs: everyMs } = this.#options;
    const self = () => ({ address: this.#address, enforcing: enforcing() });
    const directory = new PeerDirectory({ store, clock, id, self, ...(everyMs !== undefined && { everyMs }) });
    this.#directory = directory;
    const peers = new Peers({ directory, id, system, identity: hub.authority.identity("control"), clock });
    this.#peers = peers;
    hub.onSuspects = (ids) => {
      const { holder } = this.leader;
      if (holder !== id)
        void peers.askOne(holder, (at, options) => at.peers.suspect({ ids: [...ids] }, options)).catch(() => {});
    };
    const cutOff = new CutOff({
      clock,
      reach: () => reached(store, hub.registry),
      othersReach: async () =>
        (await peers.ask((at, options) => at.peers.reach({}, options), 2_000)).answers.some(
          ({ answer }) => answer.reaches,
        ),
      onChange: (is) => {
        hub.cutOff = is;
        this.#options.onEvent(
          is
            ? "cut off from the registry or the store, which another control plane reaches: processes are sent there"
            : "the registry and the store are reached again",
        );
        if (!is) return;
        for (const session of hub.sessions) session.end(null);
        for (const end of hub.otherLines) end();
      },
    });
    this.#cutOff = cutOff;
    const { leader } = this;
    return gather({ hub, peers, leader, fleet: new SharedFleet(fleet, peers), address: () => this.#address });
  }

  /** It answers at this address from now on. */
  async served(address: string): Promise<void> {
    this.#address = address;
    await this.#directory?.open();
    this.#cutOff?.start();
  }

  /** Found out now. */
  async reaches(): Promise<boolean> {
    return (await this.#cutOff?.reaches()) ?? true;
  }

  async close(): Promise<void> {
    this.#cutOff?.close();
    await Promise.all([this.leader.close(), this.#directory?.close()]);
    await this.#peers?.close();
  }
}

async function reached(store: KeyValue, registry: Registry): Promise<void> {
  const [{ staleMs }] = await Promise.all([registry.query([NOBODY]), store.get("leader")]);
  if (staleMs > STALE_MS) throw new Error("the registry is away");
}

/** What asks for no endpoint. */
const NOBODY = "weft-reached";
const STALE_MS = 1_500;

/** Throws `failed_precondition` where control planes could not be told from impostors. */
function assertShareable(operatorToken: string): void {
  if (operatorToken !== "") return;
  throw new WeftError(
    "failed_precondition",
    "control planes that share a store know each other by the operator's token, which none was given: make one (openssl rand -base64 32), and give each the same by WEFT_OPERATOR_TOKEN or --operator-token-file",
    { reason: "NO_OPERATOR_TOKEN" },
  );
}
