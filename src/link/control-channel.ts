import { createClient } from "../call/client.ts";
import type { Client } from "../call/client-types.ts";
import { createDirectCarrier, type DirectCarrier } from "../call/direct.ts";
import { Control } from "../contract/gen/weft/control/v1/control.ts";
import { Fleet } from "../contract/gen/weft/control/v1/fleet.ts";
import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import { ControlAddresses } from "./control-addresses.ts";
import type { ControlSecurity } from "./control-security.ts";

export interface ControlChannelOptions {
  /** "host:port", or several separated by commas. */
  readonly address: string;
  readonly background?: boolean;
  readonly control?: ControlSecurity | null;
}

/** The connection to the control plane that is used at the moment, and the clients over it. */
export class ControlChannel {
  readonly #options: ControlChannelOptions;
  readonly #clock: Clock;
  readonly #addresses: ControlAddresses;
  #direct: DirectCarrier;
  control: Client<typeof Control>;
  fleet: Client<typeof Fleet>;
  #closed = false;

  /** Throws `invalid_argument` for a bad address. Connects with the first call. */
  constructor(options: ControlChannelOptions, clock: Clock, random: Random) {
    this.#options = options;
    this.#clock = clock;
    this.#addresses = new ControlAddresses(options.address, random);
    ({ direct: this.#direct, control: this.control, fleet: this.fleet } = this.#connect());
  }

  /** How many control planes there are. */
  get count(): number {
    return this.#addresses.count;
  }

  /** Goes on to the next control plane: what is under way at this one fails. Without another one nothing happens. */
  advance(): void {
    if (this.count === 1 || this.#closed) return;
    void this.#direct.close();
    this.#addresses.advance();
    ({ direct: this.#direct, control: this.control, fleet: this.fleet } = this.#connect());
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#direct.close();
  }

  #connect(): { direct: DirectCarrier; control: Client<typeof Control>; fleet: Client<typeof Fleet> } {
    const { background = false, control } = this.#options;
    const clock = this.#clock;
    const direct = createDirectCarrier(this.#addresses.current, {
      clock,
      ...(control?.direct(background) ?? { pool: { background } }),
    });
    const { carrier, service, authority } = direct;
    const over = { carrier, service, authority, clock };
    return {
      direct,
      control: createClient(Control, { ...over, maxMessageBytes: MAX_MESSAGE_BYTES }),
      fleet: createClient(Fleet, over),
    };
  }
}

const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;
