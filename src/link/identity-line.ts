import { createPrivateKey, generateKeyPair, type KeyObject, X509Certificate } from "node:crypto";
import type { Client } from "../call/client-types.ts";
import { createDirectClient } from "../call/direct.ts";
import { Identity, type IssueResponse } from "../contract/gen/weft/control/v1/identity.ts";
import { type Cancel, type Clock, systemClock } from "../core/clock.ts";
import { toWeftError, WeftError } from "../core/errors.ts";
import type { IdentityMaterial, IdentitySource } from "../core/identity.ts";
import { signProof } from "../core/identity-proof.ts";
import { type Random, systemRandom } from "../core/random.ts";
import { BackOff } from "./back-off.ts";
import { ControlAddresses } from "./control-addresses.ts";
import { type ControlSecurity, controlSecurityOf } from "./control-security.ts";

export interface IdentityLineOptions {
  /** Whether nobody waits for it any more: the next attempt is not made. */
  isOver?: () => boolean;
  /** The control plane, "host:port", or several separated by commas: the next one is asked when one does not answer. */
  address: string;
  /** A join token (WEFT_JOIN_TOKEN). */
  token: string;
  /** How the control plane is spoken with, shared with the other lines to it. Default: by what the token says of it. */
  control?: ControlSecurity | null;
  clock?: Clock;
  random?: Random;
  /** Told what goes wrong, the louder the nearer the certificate's end. Never holds a token or a key. Default: nobody. */
  onProblem?: (message: string) => void;
}

/** An identity that the control plane's authority gave this process, and keeps renewed. */
export interface IdentityLine extends IdentitySource {
  /** "shop" */
  readonly system: string;
  /** "orders" */
  readonly service: string;
  /** How the control plane is spoken with; null: in plain text, as the token says nothing of it. */
  readonly control: ControlSecurity | null;
  /** PEM of the authorities to trust from now on, as the line to the control plane tells it. */
  trust(pem: string): void;
  /** Renews no more. `current` stays. */
  close(): Promise<void>;
}

/**
 * Joins the mesh: makes a key in this process, where it stays, and has it certified. Waits for a control plane that is away; rejects `unauthenticated` when
 * it refuses the token, or does not prove to be the one that the token is for.
 *
 *     joining --issued--> valid --half of its life--> renewing --issued--> valid
 *                                                       '--fails--> tries again, and warns: calls go on until the certificate ends, and
 *                                                                   recover as soon as one is issued
 *
 * 1. Each certificate has a key of its own.
 * 2. `current` is replaced as a whole, and only by what is valid longer, or by other trust.
 * 3. A renewal that is refused is tried with the token as well: a control plane that began anew does not know the certificate.
 */
export async function openIdentity(options: IdentityLineOptions): Promise<IdentityLine> {
  const line = new RenewedIdentity(options);
  await line.join();
  return line;
}

class RenewedIdentity implements IdentityLine {
  id = "";
  system = "";
  service = "";
  readonly control: ControlSecurity | null;
  current: IdentityMaterial = { certificate: "", privateKey: "", trust: "", notAfterMs: 0 };
  readonly #options: IdentityLineOptions;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #backOff: BackOff;
  readonly #addresses: ControlAddresses;
  #direct: ReturnType<typeof createDirectClient<typeof Identity>>;
  readonly #listeners = new Set<() => void>();
  /** What is being certified. */
  #pair: { readonly publicKey: KeyObject; readonly privateKey: KeyObject } | null = null;
  #lifetimeMs = 0;
  /** Part of the lifetime that is left when it is warned next. */
  #warnAt = 1;
  #cancel: Cancel = () => {};
  #closed = false;

  constructor(options: IdentityLineOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? systemRandom;
    this.#addresses = new ControlAddresses(options.address, this.#random);
    this.#backOff = new BackOff(this.#random, { baseMs: 100, maxMs: 5_000, round: this.#addresses.count });
    this.control = options.control ?? controlSecurityOf(options.token, options.address, this.#clock);
    this.#direct = this.#connect();
  }

  async join(): Promise<void> {
    // The first one is waited for, also by a process that does nothing else yet.
    const hold = setInterval(() => {}, 60_000);
    let told = 0;
    try {
      for (;;) {
        try {
          await this.#renew();
          return;
        } catch (thrown) {
          const error = toWeftError(thrown);
          if (error.code === "unauthenticated" || error.code === "invalid_argument" || error.code === "unimplemented") {
            await this.close();
            throw new WeftError(error.code, `no identity was given: ${error.message}`, { reason: error.reason });
          }
          if (this.#options.isOver?.()) {
            await this.close();
            throw new WeftError("unavailable", "this process ends, and asks no more who it is", { reason: "CLOSED" });
          }
          this.#moveOn();
          if (told++ % 10 === 0) this.#problem(`no identity yet from ${this.#options.address}: ${error.message}`);
          await new Promise<void>((resolve) => void this.#clock.after(this.#backOff.next(), resolve));
        }
      }
    } finally {
      clearInterval(hold);
    }
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  trust(pem: string): void {
    if (pem !== "" && pem !== this.current.trust && !this.#closed) this.#take({ ...this.current, trust: pem });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancel();
    await this.#direct.close();
  }

  async #renew(): Promise<void> {
    await this.control?.prepare(true); // the first one is waited for by join()
    // The same until it is certified: a request whose answer was lost, and which another control plane gets again, uses no join token up.
    this.#pair ??= await makeKeyPair();
    const { publicKey, privateKey } = this.#pair;
    const spki = publicKey.export({ type: "spki", format: "der" });
    const asked = { publicKey: spki, proof: signProof("issue", spki, privateKey) };
    const issued = await this.#ask(asked, spki);
    this.#pair = null;
    if (this.#closed) return;
    const [, system = "", service = ""] = /^spiffe:\/\/([^/]+)\/(.+)$/.exec(issued.id) ?? [];
    if (service === "" || (this.id !== "" && issued.id !== this.id))
      throw new WeftError("internal", `an identity of another name was issued: ${issued.id.slice(0, 256)}`);
    const notAfterMs = Number(issued.notAfterMs);
    this.id = issued.id;
    this.system = system;
    this.service = service;
    this.#lifetimeMs = Math.max(1_000, notAfterMs - this.#clock.wallMs());
    this.#warnAt = WARN_FROM;
    this.#backOff.reset();
    this.#take({
      certificate: issued.certificate,
      privateKey: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
      trust: issued.trust,
      notAfterMs,
    });
    // Half of its life, and up to a tenth less, so that those that started together do not come together.
    this.#after(this.#lifetimeMs * (0.5 - 0.1 * this.#random.next()));
  }

  async #ask(asked: { publicKey: Uint8Array; proof: Uint8Array }, spki: Uint8Array): Promise<IssueResponse> {
    const { client } = this.#direct as { client: Client<typeof Identity> };
    const ask = (holder: Holder) => client.issue({ ...asked, holder }, { timeoutMs: TIMEOUT_MS });
    const { certificate, privateKey } = this.current;
    if (certificate === "") return await ask({ case: "joinToken", value: this.#options.token });
    const leaf = new X509Certificate(certificate).toString();
    const proof = signProof("renew", spki, createPrivateKey(privateKey) satisfies KeyObject);
    try {
      return await ask({ case: "renewal", value: { certificate: leaf, proof } });
    } catch (thrown) {
      if (toWeftError(thrown).code !== "unauthenticated") throw thrown;
      return await ask({ case: "joinToken", value: this.#options.token }).catch(() => Promise.reject(thrown));
    }
  }

  #connect(): ReturnType<typeof createDirectClient<typeof Identity>> {
    return createDirectClient(Identity, this.#addresses.current, {
      clock: this.#clock,
      ...(this.control?.direct(true) ?? { pool: { background: true } }),
    });
  }

  /** The next control plane is asked from now on. */
  #moveOn(): void {
    if (this.#addresses.count === 1 || this.#closed) return;
    void this.#direct.close();
    this.#addresses.advance();
    this.#direct = this.#connect();
  }

  #after(delayMs: number): void {
    this.#cancel();
    if (this.#closed) return;
    this.#cancel = this.#clock.after(delayMs, () => {
      this.#renew().catch((thrown) => {
        if (this.#closed) return;
        this.#moveOn();
        this.#warn(toWeftError(thrown));
        const pauseMs = Math.min(this.#backOff.next(), this.#lifetimeMs / 10);
        this.#after(pauseMs);
      });
    });
  }

  /** Once at the first failure, and whenever half of what was left then has passed; all the time once it has ended. */
  #warn({ message, reason }: WeftError): void {
    const leftMs = this.current.notAfterMs - this.#clock.wallMs();
    const left = leftMs / this.#lifetimeMs;
    if (left > this.#warnAt) return;
    this.#warnAt = left > 0 ? Math.max(left / 2, 0.02) : 0;
    const until = new Date(this.current.notAfterMs).toISOString();
    if (leftMs > 0)
      this.#problem(
        `the certificate of ${this.id} could not be renewed (${reason}: ${message}); calls go on until it expires at ${until}, in ${Math.ceil(leftMs / 1_000)} s`,
      );
    else
      this.#problem(
        `THE CERTIFICATE OF ${this.id} EXPIRED at ${until} and could not be renewed (${reason}: ${message}): new connections over mutual TLS fail until the control plane at ${this.#options.address} issues one`,
      );
    if (left <= 0) this.#warnAt = -1 / 8 + left;
  }

  #problem(message: string): void {
    this.#options.onProblem?.(message);
  }

  #take(material: IdentityMaterial): void {
    this.current = material;
    this.control?.take(material);
    for (const listener of this.#listeners) listener();
  }
}

type Holder =
  | { case: "joinToken"; value: string }
  | { case: "renewal"; value: { certificate: string; proof: Uint8Array } };

/** Not promisify(): node:util, with all that it re-exports, is half a megabyte. */
function makeKeyPair(): Promise<{ publicKey: KeyObject; privateKey: KeyObject }> {
  return new Promise((resolve, reject) => {
    generateKeyPair("ec", { namedCurve: "P-256" }, (error, publicKey, privateKey) => {
      if (error === null) resolve({ publicKey, privateKey });
      else reject(error);
    });
  });
}

const TIMEOUT_MS = 5_000;
/** The first warning comes with the first failure. */
const WARN_FROM = 1;
