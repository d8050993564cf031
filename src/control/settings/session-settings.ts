import type { SettingsApplied, SubscribeSettings } from "../../contract/gen/weft/control/v1/settings.ts";
import { WeftError } from "../../core/errors.ts";
import { printable } from "../../core/printable.ts";
import { assertServiceName } from "../../registry/validate.ts";
import { settingsLimits } from "../../settings/settings-limits.ts";
import type { SettingsConsumer } from "../../settings/settings-state.ts";
import type { Subscriber } from "../subscriber.ts";
import type { Expectation, SettingsCentre } from "./settings-centre.ts";

/** What one attached process uses of the configuration centre, and what came of it there. */
export interface FollowedNamespace {
  readonly namespace: string;
  /** What the process expects; null when it does not say. */
  readonly expects: Expectation | null;
  /** Of the values that it was sent last. */
  readonly revision: number;
  readonly json: string;
  /** The revision that it said is in force; 0 before it did. */
  readonly applied: number;
  /** What it refused, while that was the last thing that it was sent. */
  readonly refused: { readonly revision: number; readonly error: string } | null;
  /** It has not answered to what it was sent last. */
  readonly waiting: boolean;
}

export interface SessionFacts {
  readonly process: () => string;
  readonly service: () => string;
  readonly consumer: () => SettingsConsumer;
  /** Whether revisions that the process knows were told by this run. */
  readonly sameEpoch: () => boolean;
  /** The process knows a newer revision than is current here, and keeps what it has. */
  readonly isAhead: () => boolean;
  /** Throws `permission_denied`. */
  readonly assertMayRead: (namespace: string) => void;
}

/** The part of a session that is about settings: subscriptions in, values out, answers in. */
export class SessionSettings {
  readonly facts: SessionFacts;
  readonly #centre: SettingsCentre;
  readonly #subscriber: Subscriber;
  readonly #followed = new Map<string, { -readonly [P in keyof FollowedNamespace]: FollowedNamespace[P] }>();

  #closed = false;

  constructor(centre: SettingsCentre, subscriber: Subscriber, facts: SessionFacts) {
    this.#centre = centre;
    this.#subscriber = subscriber;
    this.facts = facts;
  }

  get namespaces(): Iterable<FollowedNamespace> {
    return this.#followed.values();
  }

  namespace(name: string): FollowedNamespace | undefined {
    return this.#followed.get(name);
  }

  /** Throws `invalid_argument`, `permission_denied`, `resource_exhausted`; nothing is followed then. */
  subscribe({ requestId, namespaces }: SubscribeSettings): void {
    for (const { namespace, schema } of namespaces) {
      assertServiceName(namespace, "namespace");
      this.facts.assertMayRead(namespace);
      if (schema.length > settingsLimits.maxSchemaBytes)
        throw new WeftError(
          "invalid_argument",
          `the schema of ${namespace} is larger than ${settingsLimits.maxSchemaBytes} bytes`,
          {
            reason: "BAD_SCHEMA",
          },
        );
    }
    const fresh = namespaces.filter(({ namespace }) => !this.#followed.has(namespace));
    if (this.#followed.size + fresh.length > MAX_NAMESPACES)
      throw new WeftError("resource_exhausted", `a process uses at most ${MAX_NAMESPACES} namespaces of settings`, {
        reason: "TOO_MANY_NAMESPACES",
      });
    for (const { namespace, knownRevision, schema, message } of namespaces) {
      const { revision, json, bytes } = this.#centre.valuesOf(namespace, this.facts.consumer());
      const applied = Number(knownRevision);
      const ahead = applied > revision && this.facts.isAhead();
      // Tags may have been others when it was told last.
      const same = this.facts.sameEpoch() && !this.#centre.choosesByTags(namespace);
      const known = ahead || (applied > 0 && applied === revision && same);
      const expects = this.#centre.expectation(schema, message);
      const before = this.#followed.get(namespace)?.expects ?? null;
      if (before !== null) this.#centre.forget(before);
      const has = ahead ? { revision: applied, json: "" } : { revision, json };
      this.#followed.set(namespace, { namespace, expects, ...has, applied, refused: null, waiting: !known });
      this.#centre.follow(namespace, this);
      if (!known) this.#subscriber.settings(namespace, bytes);
    }
    this.#subscriber.acknowledgeAfter(
      [],
      { requestId },
      namespaces.map(({ namespace }) => namespace),
    );
  }

  /** There may be other values of a namespace. */
  changed(namespace: string): void {
    const followed = this.#followed.get(namespace);
    if (followed === undefined) return;
    const { revision, json, bytes } = this.#centre.valuesOf(namespace, this.facts.consumer());
    if (json === followed.json || (revision < followed.revision && this.facts.isAhead())) return;
    Object.assign(followed, { revision, json, refused: null, waiting: true });
    this.#subscriber.settings(namespace, bytes);
  }

  /** What is current here counts for the process, too. */
  caughtUp(): void {
    this.chosenAnew();
  }

  /** Gray releases may choose the process otherwise than before. */
  chosenAnew(): void {
    for (const namespace of this.#followed.keys()) this.changed(namespace);
  }

  applied({ namespace, revision, error }: SettingsApplied): void {
    const followed = this.#followed.get(namespace);
    // Of what was sent before the last nobody needs to know any more.
    if (followed === undefined || Number(revision) !== followed.revision) return;
    followed.waiting = false;
    if (error === "") followed.applied = followed.revision;
    followed.refused =
      error === "" ? null : { revision: followed.revision, error: printable(error, MAX_REFUSAL_LENGTH) };
  }

  /** The oldest revision of which it was sent settings and has not said whether they are in force; Infinity: none. */
  get unanswered(): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const { waiting, revision } of this.#followed.values()) if (waiting) oldest = Math.min(oldest, revision);
    return oldest;
  }

  /** What it refused of what it was sent last, as a data plane's refusals: "settings orders". */
  refusals(): { revision: number; resource: string; reason: string }[] {
    const refusals: { revision: number; resource: string; reason: string }[] = [];
    for (const { namespace, refused } of this.#followed.values())
      if (refused !== null)
        refusals.push({ revision: refused.revision, resource: `settings ${namespace}`, reason: refused.error });
    return refusals;
  }

  /** Ids of the gray releases whose values the process has, or gets. */
  graysOf(namespace: string): readonly string[] {
    return this.#centre.valuesOf(namespace, this.facts.consumer()).grays;
  }

  /** The process is gone. */
  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    this.#closed = true;
    for (const { namespace, expects } of this.#followed.values()) {
      this.#centre.unfollow(namespace, this);
      if (expects !== null) this.#centre.forget(expects);
    }
  }
}

const MAX_NAMESPACES = 100;
/** Of what a process says of values that it cannot use. */
const MAX_REFUSAL_LENGTH = 2_000;
