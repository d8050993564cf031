import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { Clock } from "../../core/clock.ts";
import { WeftError } from "../../core/errors.ts";
import { isOperatorProof } from "../../core/identity-proof.ts";
import { encodeJoinToken, type JoinToken, parseJoinToken } from "../../core/join-token.ts";
import { assertServiceName } from "../../registry/validate.ts";
import type { KeyValue } from "../../settings/key-value.ts";
import { TokenUses } from "./token-uses.ts";

/**
 * Join tokens of a system: made, checked, and their uses counted. A use is durable before anything is issued for it, so that a restart of the control plane does not give
 * tokens back. Who asks again with the same key (its answer was lost) uses nothing up.
 */
export class JoinTokens {
  readonly #system: string;
  readonly #secret: string;
  readonly #uses: TokenUses;
  readonly #clock: Clock;
  readonly #pins: () => readonly string[];
  /** Uses are counted one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  /** `pins`: of the roots that are trusted at the moment, for whom tokens are made. */
  constructor(system: string, secret: string, store: KeyValue, clock: Clock, pins: () => readonly string[] = () => []) {
    this.#system = system;
    this.#secret = secret;
    this.#uses = new TokenUses(store, clock);
    this.#clock = clock;
    this.#pins = pins;
  }

  create(service: string, ttlSeconds: number, uses: number): { token: string; expiresMs: number } {
    assertServiceName(service);
    if (service === "control")
      throw new WeftError("invalid_argument", '"control" is the control plane itself; nobody else joins as that', {
        reason: "RESERVED_SERVICE",
        place: { field: "service" },
      });
    const expiresMs = this.#clock.wallMs() + ttlSeconds * 1_000;
    const id = randomBytes(16).toString("base64url");
    const claims = { system: this.#system, service, id, expiresMs, uses, pins: this.#pins() };
    return { token: encodeJoinToken(claims, this.#secret), expiresMs };
  }

  /** Which service the token is for. Throws `unauthenticated` unless it is one of this system's and has not expired. */
  read(token: string): JoinToken {
    const read = parseJoinToken(token, this.#system, this.#secret, this.#clock.wallMs());
    if (read.service === "control")
      throw new WeftError("unauthenticated", "nobody joins as the control plane", { reason: "BAD_JOIN_TOKEN" });
    return read;
  }

  /** As read(), and counts a use by this public key. Rejects `unauthenticated`, reason JOIN_TOKEN_USED, when there is none left. */
  use(token: string, publicKey: Uint8Array): Promise<JoinToken> {
    const used = this.#last.then(() => this.#use(token, publicKey));
    this.#last = used.catch(() => {});
    return used;
  }

  /**
   * For a data plane that shows its token on every new stream, having nothing else to show: which service the token is for. It counts a use by `holder` (the node's id); who
   * was admitted before comes back by the same token after it has expired. Rejects as read() and use().
   */
  admit(token: string, holder: string): Promise<JoinToken> {
    const key = createHash("sha256").update(`node ${holder}`).digest("hex");
    const admitted = this.#last.then(() =>
      this.#count(parseJoinToken(token, this.#system, this.#secret, 0), key, COMES_BACK_MS, token),
    );
    this.#last = admitted.catch(() => {});
    return admitted;
  }

  isOperator(token: string): boolean {
    const digest = (text: string) => createHmac("sha256", "weft operator").update(text).digest();
    return timingSafeEqual(digest(token), digest(this.#secret));
  }

  /** Whether a process shows on its line that it has the operator's secret. */
  isOperatorProof(challenge: Uint8Array, proof: Uint8Array): boolean {
    return isOperatorProof(challenge, this.#secret, proof);
  }

  async #use(text: string, publicKey: Uint8Array): Promise<JoinToken> {
    const token = this.read(text);
    return this.#count(token, createHash("sha256").update(publicKey).digest("hex"), 0, text);
  }

  /** A use that was counted is known for `knownMs` after the token has expired. */
  async #count(token: JoinToken, key: string, knownMs: number, text: string): Promise<JoinToken> {
    const counted = await this.#uses.count(token.id, key, token.expiresMs + knownMs, (uses) => {
      this.read(text);
      return uses < token.uses;
    });
    if (counted) return token;
    const times = token.uses === 1 ? "once" : `${token.uses} times`;
    throw new WeftError(
      "unauthenticated",
      `the join token for "${token.service}" has been used already (it holds ${times}); make another one with \`weft token create ${token.service}\``,
      { reason: "JOIN_TOKEN_USED" },
    );
  }
}

const COMES_BACK_MS = 365 * 24 * 3_600_000;
