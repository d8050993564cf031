import type { DirectOptions } from "../call/direct.ts";
import { parseHostPort } from "../core/address.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import type { ControlPin } from "../core/control-pin.ts";
import { toWeftError, WeftError } from "../core/errors.ts";
import { type IdentityMaterial, type IdentitySource, spiffeId } from "../core/identity.ts";
import { readJoinToken } from "../core/join-token.ts";
import { systemRandom } from "../core/random.ts";
import { pinnedTrust } from "../net/pinned-trust.ts";
import { ControlAddresses } from "./control-addresses.ts";

export interface ControlSecurityOptions {
  /** The control plane, "host:port", or several separated by commas: roots are asked of whichever has them first. */
  address: string;
  /** Its system, and digests of the roots of which one has to sign for it. */
  pin: ControlPin;
  /** Roots that are known whole, PEM. Default: those of the pin are asked for. */
  trust?: string;
  clock?: Clock;
}

/**
 * How a process speaks with its control plane over TLS, on all of its connections: whom it believes, and what it shows of itself.
 *
 *     pinned --prepare(): the roots of the pins, whole--> trusting --take(): joined--> showing its certificate, trusting what it is told
 *
 * 1. No connection that carries anything is made before a root is known, and none to who does not prove spiffe://SYSTEM/control by it.
 * 2. A certificate that has expired is not shown: what is needed then is a new one, for which none is needed.
 */
export class ControlSecurity implements IdentitySource {
  readonly id: string;
  readonly #options: ControlSecurityOptions;
  readonly #clock: Clock;
  readonly #addresses: ControlAddresses;
  readonly #listeners = new Set<() => void>();
  #material: IdentityMaterial;
  #preparing: Promise<void> | null = null;

  constructor(options: ControlSecurityOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#addresses = new ControlAddresses(options.address, systemRandom);
    this.#material = { ...NOTHING, trust: options.trust ?? "" };
    // It has no name of its own before it has joined.
    this.id = spiffeId(options.pin.system, "");
  }

  get system(): string {
    return this.#options.pin.system;
  }

  get current(): IdentityMaterial {
    const { certificate, notAfterMs, trust } = this.#material;
    if (certificate !== "" && notAfterMs <= this.#clock.wallMs()) this.#material = { ...NOTHING, trust };
    return this.#material;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** What connections to the control plane are made with. */
  direct(background: boolean): Pick<DirectOptions, "identity" | "pool"> {
    return { identity: spiffeId(this.#options.pin.system, "control"), pool: { identity: this, background } };
  }

  /**
   * Makes sure that a root is known. Rejects `unauthenticated` (CONTROL_NOT_PROVEN) or `unavailable`; then it can be asked again. `background`: waiting for it does not keep the
   * process alive.
   */
  async prepare(background = false): Promise<void> {
    if (this.#material.trust !== "") return;
    this.#preparing ??= this.#find(background).finally(() => {
      this.#preparing = null;
    });
    await this.#preparing;
  }

  /** What the process proves and believes from now on; roots alone are taken over too. */
  take(material: Partial<IdentityMaterial>): void {
    this.#material = { ...this.#material, ...material };
    for (const listener of this.#listeners) listener();
  }

  async #find(background: boolean): Promise<void> {
    const { pins } = this.#options.pin;
    const timeoutMs = this.#addresses.count > 1 ? ONE_OF_SEVERAL_MS : TIMEOUT_MS;
    let failure: unknown = null;
    for (let tried = 0; tried < this.#addresses.count; tried++) {
      try {
        const at = parseHostPort(this.#addresses.current) ?? { host: "", port: 0 };
        const trust = await pinnedTrust({ ...at, pins, timeoutMs, background });
        if (this.#material.trust === "") this.take({ trust });
        return;
      } catch (thrown) {
        failure ??= thrown;
        // Who proves nothing is told of, whatever others say.
        if (toWeftError(thrown).code === "unauthenticated") failure = thrown;
        this.#addresses.advance();
      }
    }
    throw failure;
  }
}

/**
 * By what a token says of the control plane; null where it says nothing, and the line is in plain text. Throws `unauthenticated` for what is no token, and for one that says
 * nothing where the control plane is on another machine: it would be shown to everybody on the way.
 */
export function controlSecurityOf(token: string, address: string, clock?: Clock): ControlSecurity | null {
  const read = readJoinToken(token);
  if (read === null)
    throw new WeftError(
      "unauthenticated",
      "no identity was given: this is no join token of weft's; make one with `weft token create SERVICE`",
      { reason: "BAD_JOIN_TOKEN" },
    );
  const { system, service, pins } = read;
  if (pins.length > 0) return new ControlSecurity({ address, pin: { system, pins }, ...(clock && { clock }) });
  if (isOnThisMachine(address)) return null;
  throw new WeftError(
    "unauthenticated",
    `no identity was given: the join token says nothing of the control plane's authority, and would be shown to ${address} in plain text; make another one with \`weft token create ${service}\``,
    { reason: "BAD_JOIN_TOKEN" },
  );
}

/** "127.0.0.1:7070", "[::1]:7070", "localhost:7070"; of several separated by commas, whether all are. */
export function isOnThisMachine(address: string): boolean {
  return address.split(",").every((each) => /^(?:127(?:\.\d{1,3}){3}|\[::1\]|localhost):\d+$/.test(each));
}

const NOTHING: IdentityMaterial = { certificate: "", privateKey: "", trust: "", notAfterMs: 0 };
const TIMEOUT_MS = 5_000;
/** Another one may answer sooner. */
const ONE_OF_SEVERAL_MS = 2_000;
