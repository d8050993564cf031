import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from "node:crypto";
import { createCertificate, encodePem } from "../../core/certificate.ts";
import type { Cancel, Clock } from "../../core/clock.ts";
import { pinsOf } from "../../core/control-pin.ts";
import { WeftError } from "../../core/errors.ts";
import { type IdentityMaterial, type IdentitySource, spiffeId } from "../../core/identity.ts";
import { AuthorityFile, type KeptRoot, type PastRoot } from "./authority-file.ts";
import type { AuthorityKeeper, KeptAuthority } from "./authority-keeper.ts";
import { type CheckedAuthority, checkGivenAuthority, type GivenAuthority } from "./given-authority.ts";
import { OwnIdentity } from "./own-identity.ts";
import { BACKDATED_MS, makeRoot, stepTo } from "./root-certificate.ts";
import { advanceRoots, nextDueMs, type RotationTimes, untilMs, wantsRoot } from "./root-rotation.ts";

export interface AuthorityOptions {
  /** The trust domain: "shop". */
  system: string;
  /** Where roots are kept; "" keeps them in memory. */
  folder: string;
  /** In place of the folder. */
  keeper?: AuthorityKeeper;
  /** Whether roots are replaced from here, of several control planes that could. Default: always. */
  leads?: () => boolean;
  /** Of certificates of processes. Default an hour. */
  leafLifetimeMs?: number;
  /** Of own roots. Default a year. */
  rootLifetimeMs?: number;
  /** Signs in place of roots of its own. */
  given?: GivenAuthority;
  clock: Clock;
  /** Told what happens to roots. */
  onEvent?: (message: string) => void;
}

/** What was issued. PEM. */
export interface IssuedCertificate {
  readonly id: string;
  readonly certificate: string;
  readonly trust: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** A root for people: its state, and when that began and ends by itself (Infinity: not). */
export interface RootView {
  readonly id: string;
  readonly state: KeptRoot["state"];
  readonly notAfterMs: number;
  readonly sinceMs: number;
  readonly untilMs: number;
}

/** The control plane as certificate authority of its system. */
export class Authority {
  readonly system: string;
  readonly leafLifetimeMs: number;
  readonly #options: AuthorityOptions;
  readonly #clock: Clock;
  readonly #keeper: AuthorityKeeper;
  readonly #leads: () => boolean;
  readonly #rootLifetimeMs: number;
  readonly #times: RotationTimes;
  readonly #given: CheckedAuthority | null;
  readonly #listeners = new Set<() => void>();
  readonly #own = new Map<string, OwnIdentity>();
  #roots: readonly KeptRoot[] = [];
  /** Oldest first; the last one's successor is the newest of `#roots`. */
  #past: readonly PastRoot[] = [];
  /** Of the root that signs. */
  #signer: { readonly certificate: Uint8Array; readonly privateKey: KeyObject } | null = null;
  #trust = "";
  #cancel: Cancel = () => {};
  #watch: { close(): void } | null = null;
  #saving: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(options: AuthorityOptions) {
    const { system, leafLifetimeMs = HOUR_MS, rootLifetimeMs = YEAR_MS } = options;
    if (!(leafLifetimeMs >= 1_000 && leafLifetimeMs <= 30 * 24 * HOUR_MS))
      throw new WeftError("invalid_argument", "certificates live from 1 s to 30 days", { reason: "BAD_LIFETIME" });
    if (!(rootLifetimeMs >= 4 * leafLifetimeMs))
      throw new WeftError(
        "invalid_argument",
        "a root lives at least four times as long as the certificates that it signs",
        {
          reason: "BAD_LIFETIME",
        },
      );
    this.#options = options;
    this.#clock = options.clock;
    this.system = system;
    this.leafLifetimeMs = leafLifetimeMs;
    this.#rootLifetimeMs = rootLifetimeMs;
    this.#times = { overlapMs: leafLifetimeMs, renewBeforeMs: Math.max(rootLifetimeMs / 4, 3 * leafLifetimeMs) };
    this.#keeper = options.keeper ?? new AuthorityFile(options.folder, options.onEvent);
    this.#leads = options.leads ?? (() => true);
    this.#given = options.given === undefined ? null : checkGivenAuthority(options.given, options.clock.wallMs());
  }

  /** Rejects `failed_precondition` when what is kept cannot be used, `invalid_argument` for a given authority or lifetimes that are wrong. */
  static async open(options: AuthorityOptions): Promise<Authority> {
    const authority = new Authority(options);
    const given = authority.#given;
    if (given !== null) authority.#take([], given);
    else {
      await authority.#begin();
      authority.#advance();
    }
    await authority.#keeper.writeTrust(authority.#trust);
    return authority;
  }

  /** By what is kept, or with a first root. */
  async #begin(): Promise<void> {
    const keeper = this.#keeper;
    for (;;) {
      const kept = await keeper.read(this.system);
      const roots = kept?.roots ?? [this.#makeRoot("signing")];
      // Of several control planes that begin at once one's root is everybody's.
      if (kept === null && !(await keeper.write(this.system, roots, []))) continue;
      this.#past = kept?.past ?? [];
      this.#take(roots, null);
      this.#watch = keeper.watch((theirs) => this.#adopt(theirs));
      return;
    }
  }

  /** What another control plane has made of the roots. */
  #adopt({ roots, past }: KeptAuthority): void {
    if (this.#closed) return;
    this.#past = past;
    this.#take(roots, null);
    this.#advance();
  }

  get kind(): "own" | "given" {
    return this.#given === null ? "own" : "given";
  }

  /** PEM of all that are to be trusted now. */
  get trust(): string {
    return this.#trust;
  }

  /** Digests of the roots that are to be trusted now: what join tokens tell. */
  get pins(): readonly string[] {
    return pinsOf(this.#trust);
  }

  /**
   * PEM of what the control plane shows behind its own certificate, so that whoever knows one root by its digest gets it whole, and whoever has been away while roots were
   * replaced finds from the one that it trusts to the one that signs now. Steps come before the roots: verifiers take the first that fits.
   */
  get chain(): string {
    const steps = this.#past.map(({ successor }) => successor).reverse();
    const roots = this.#past.map(({ certificate }) => certificate).filter((each) => !this.#trust.includes(each));
    return [...steps, ...roots, this.#trust].join("");
  }

  get roots(): readonly RootView[] {
    return this.#roots.map((root) => ({
      id: root.id,
      state: root.state,
      notAfterMs: root.notAfterMs,
      sinceMs: root.sinceMs,
      untilMs: untilMs(root, this.#roots, this.#times),
    }));
  }

  /** Told after trust, or who signs, has changed. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A certificate for `service` and this public key. Throws `unavailable` where the authority's own certificate has run out. */
  issue(publicKey: KeyObject, service: string): IssuedCertificate {
    const nowMs = this.#clock.wallMs();
    const signer = this.#signer;
    const lastMs = this.#given?.notAfterMs ?? this.#roots.find(({ state }) => state === "signing")?.notAfterMs ?? 0;
    const notAfterMs = Math.floor(Math.min(nowMs + this.leafLifetimeMs, lastMs) / 1_000) * 1_000;
    if (signer === null || notAfterMs <= nowMs)
      throw new WeftError("unavailable", "the authority's own certificate has expired", {
        reason: "AUTHORITY_EXPIRED",
      });
    const id = spiffeId(this.system, service);
    const notBeforeMs = nowMs - BACKDATED_MS;
    const request = { publicKey, commonName: service, organization: this.system, uri: id, notBeforeMs, notAfterMs };
    const leaf = encodePem(createCertificate({ ...request, authority: false }, signer));
    return { id, certificate: leaf + (this.#given?.chain ?? ""), trust: this.#trust, notBeforeMs, notAfterMs };
  }

  /** A new key and its certificate, for those who get both from here: Envoys (SDS), and the control plane itself. */
  issueWithKey(service: string): IdentityMaterial & { readonly id: string } {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    return { ...this.issue(publicKey, service), privateKey: pem };
  }

  /**
   * The service that a certificate names, if this authority has signed it and it expired no longer than `graceMs` ago; otherwise why not. Roots that were dropped no longer
   * ago than that count: a process that was away meanwhile has nothing else to show.
   */
  holderOf(certificate: X509Certificate, graceMs: number): { service: string } | { refusal: string } {
    const nowMs = this.#clock.wallMs();
    const past = this.#past.filter(({ droppedMs }) => droppedMs !== null && nowMs - droppedMs <= graceMs);
    const signers =
      this.#given === null
        ? [...this.#roots, ...past].map((root) => new X509Certificate(root.certificate))
        : [this.#given.signer];
    if (!signers.some((root) => certificate.checkIssued(root) && certificate.verify(root.publicKey)))
      return { refusal: "the certificate was not signed by this authority" };
    const prefix = `URI:${spiffeId(this.system, "")}`;
    const names = certificate.subjectAltName ?? "";
    const service = names.slice(prefix.length);
    if (certificate.ca || !names.startsWith(prefix) || !SERVICE.test(service) || service === "control")
      return { refusal: "the certificate is no identity of this system" };
    if (certificate.validToDate.getTime() + graceMs < nowMs)
      return {
        refusal: `the certificate expired at ${certificate.validToDate.toISOString()}, too long ago to be renewed`,
      };
    return { service };
  }

  /** An identity of the control plane's own processes, renewed by itself. */
  identity(service: string): IdentitySource {
    let own = this.#own.get(service);
    if (own === undefined) this.#own.set(service, (own = new OwnIdentity(this, service, this.#clock)));
    return own;
  }

  /** Begins to replace the root. Throws `failed_precondition` while one is being replaced, or where the authority is the user's. */
  async rotate(): Promise<void> {
    if (this.#given !== null)
      throw new WeftError(
        "failed_precondition",
        "the authority is the user's: add the next root to --ca-trust, restart the control plane, and give --ca-cert and --ca-key of the next one when a certificate's lifetime has passed",
        { reason: "AUTHORITY_GIVEN" },
      );
    if (this.#roots.length > 1) {
      const due = new Date(nextDueMs(this.#roots, this.#times)).toISOString();
      throw new WeftError("failed_precondition", `a root is being replaced already; the next step is at ${due}`, {
        reason: "ROTATION_UNDER_WAY",
      });
    }
    await this.#addRoot();
    await this.#saving;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#watch?.close();
    this.#cancel();
    for (const own of this.#own.values()) own.close();
    await this.#saving;
  }

  #makeRoot(state: KeptRoot["state"]): KeptRoot {
    return makeRoot(this.system, state, this.#clock.wallMs(), this.#rootLifetimeMs);
  }

  async #addRoot(): Promise<void> {
    const next = this.#makeRoot("distributing");
    const before = this.#roots.find(({ state }) => state === "signing");
    const step = before === undefined ? [] : [stepTo(this.system, next, before, this.#clock.wallMs())];
    const past = [...this.#past, ...step].slice(-MAX_PAST);
    await this.#change([...this.#roots, next], past);
  }

  /** These are the roots from now on, and of several control planes at all: those write first, and take what another one wrote meanwhile instead. */
  async #change(roots: readonly KeptRoot[], past: readonly PastRoot[]): Promise<void> {
    const keeper = this.#keeper;
    if (!keeper.shared) {
      this.#past = past;
      this.#take(roots, null);
      void this.#save();
      return this.#advance();
    }
    const written = await keeper.write(this.system, roots, pastOf(past, roots, this.#clock.wallMs()));
    const kept = written ? { roots, past } : await keeper.read(this.system);
    if (kept !== null) this.#adopt(kept);
    if (!written)
      throw new WeftError("aborted", "another control plane has changed the roots at the same moment", {
        reason: "ROOTS_CHANGED",
        retryable: true,
      });
  }

  /** Carries out what is due, and waits for the next. */
  #advance(): void {
    this.#cancel();
    if (this.#closed) return;
    const nowMs = this.#clock.wallMs();
    const dueMs = Math.min(Math.max(1, nextDueMs(this.#roots, this.#times) - nowMs), DAY_MS);
    // Whoever leads does it; who does may change.
    const again = () => {
      this.#cancel = this.#clock.after(
        this.#keeper.shared ? Math.max(LOOK_MS, Math.min(dueMs, MINUTE_MS)) : dueMs,
        () => this.#advance(),
      );
    };
    if (!this.#leads()) return again();
    const failed = (thrown: Error) => {
      this.#options.onEvent?.(`the authority's roots could not be kept: ${thrown.message}`);
      again();
    };
    const next = advanceRoots(this.#roots, nowMs, this.#times);
    if (next !== this.#roots) void this.#change(next, this.#past).catch(failed);
    else if (wantsRoot(this.#roots, nowMs, this.#times)) void this.#addRoot().catch(failed);
    else again();
  }

  #take(roots: readonly KeptRoot[], given: CheckedAuthority | null): void {
    // Where there is one root, and was none or only this, nothing happens that people must know of.
    const replaced = this.#roots.length > 0 || roots.length > 1;
    for (const { id, state } of roots)
      if (replaced && this.#roots.find((root) => root.id === id)?.state !== state)
        this.#options.onEvent?.(`root ${id}: ${state}`);
    for (const { id } of this.#roots)
      if (!roots.some((root) => root.id === id)) this.#options.onEvent?.(`root ${id}: dropped`);
    this.#roots = roots;
    const nowMs = this.#clock.wallMs();
    this.#past = pastOf(this.#past, roots, nowMs);
    const signing = roots.find(({ state }) => state === "signing");
    if (given !== null) this.#signer = { certificate: given.signer.raw, privateKey: given.privateKey };
    else if (signing !== undefined) {
      const { raw } = new X509Certificate(signing.certificate);
      this.#signer = { certificate: raw, privateKey: createPrivateKey(signing.privateKey) };
    }
    this.#trust = given?.trust ?? roots.map(({ certificate }) => certificate).join("");
    for (const listener of this.#listeners) listener();
  }

  #save(): Promise<void> {
    const roots = this.#roots;
    const past = this.#past;
    const trust = this.#trust;
    this.#saving = this.#saving
      .then(() => this.#keeper.write(this.system, roots, past))
      .then(() => this.#keeper.writeTrust(trust))
      .catch((thrown) =>
        this.#options.onEvent?.(`the authority's roots could not be kept: ${(thrown as Error).message}`),
      );
    return this.#saving;
  }
}

/** Those that have not expired, with when they were dropped. */
function pastOf(all: readonly PastRoot[], roots: readonly KeptRoot[], nowMs: number): readonly PastRoot[] {
  return all
    .filter(({ notAfterMs }) => notAfterMs > nowMs)
    .map((past) => {
      const dropped = past.droppedMs === null && !roots.some(({ certificate }) => certificate === past.certificate);
      return dropped ? { ...past, droppedMs: nowMs } : past;
    });
}

/** As services are named; what another authority of the user's has signed may hold anything. */
const SERVICE = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const LOOK_MS = 500;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const YEAR_MS = 365 * DAY_MS;
/** Roots that were replaced, of which the control plane still shows the way. */
const MAX_PAST = 8;
