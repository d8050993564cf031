import type { DeliverySchema } from "../../contract/gen/weft/control/v1/mesh.ts";
import type {
  GetSettingsRequest,
  GetSettingsResponseSchema,
  PublishSettingsRequest,
  SettingsConsumerSchema,
} from "../../contract/gen/weft/control/v1/settings.ts";
import type { MessageInitShape } from "../../contract/runtime.ts";
import type { Clock } from "../../core/clock.ts";
import { WeftError } from "../../core/errors.ts";
import { didYouMean } from "../../core/suggest.ts";
import type { SettingsState } from "../../settings/settings-state.ts";
import type { Hub } from "../hub.ts";
import type { Published } from "../ledger.ts";
import { publishSettings } from "./publish-settings.ts";
import type { SessionSettings } from "./session-settings.ts";
import { changesOf } from "./settings-messages.ts";

type Delivery = MessageInitShape<typeof DeliverySchema>;

/** Admin.GetSettings. Throws `not_found` for a revision or a namespace that is not there. */
export async function readSettings(
  { ledger, sessions }: Pick<Hub, "ledger" | "sessions">,
  { namespace, revision }: GetSettingsRequest,
): Promise<MessageInitShape<typeof GetSettingsResponseSchema>> {
  const found = await ledger.get(Number(revision));
  const consumers =
    found.revision === ledger.current.revision
      ? [...consumersOf(sessions)].filter((one) => namespace === "" || one.namespace === namespace)
      : [];
  const settings = only(found.settings, namespace, consumers.length > 0);
  return { revision: BigInt(found.revision), settings: JSON.stringify(settings), consumers };
}

/** Admin.PublishSettings. Throws as publishSettings. */
export async function answerPublishSettings(
  hub: Pick<Hub, "ledger" | "settings" | "clock">,
  request: PublishSettingsRequest,
): Promise<Published & { delivery?: Delivery }> {
  const { author, reason, expectedRevision, validateOnly, waitMs } = request;
  const changes = changesOf(request.changes);
  const published = await publishSettings(hub, {
    changes,
    author,
    reason,
    validateOnly,
    ...(expectedRevision !== undefined && { expected: Number(expectedRevision) }),
  });
  if (validateOnly || waitMs === 0) return published;
  const consumers = new Map<SessionSettings, Set<string>>();
  for (const { namespace } of changes)
    for (const consumer of hub.settings.consumersOf(namespace)) {
      const used = consumers.get(consumer) ?? new Set();
      consumers.set(consumer, used.add(namespace));
    }
  return { ...published, delivery: await delivered(consumers, waitMs, hub.clock) };
}

/** Waits until every consumer that is still there has said whether what it was sent is in force, for at most `waitMs`. */
async function delivered(
  consumers: ReadonlyMap<SessionSettings, ReadonlySet<string>>,
  waitMs: number,
  clock: Clock,
): Promise<Delivery> {
  const until = clock.now() + Math.min(waitMs, MAX_WAIT_MS);
  for (;;) {
    const refused: { process: string; reason: string }[] = [];
    const waiting: string[] = [];
    let planes = 0;
    for (const [consumer, namespaces] of consumers) {
      if (consumer.closed) continue;
      planes++;
      const followed = Array.from(namespaces, (name) => consumer.namespace(name)).filter((one) => one !== undefined);
      const refusal = followed.find((one) => one.refused !== null);
      const process = consumer.facts.process();
      if (refusal?.refused) refused.push({ process, reason: `${refusal.namespace}: ${refusal.refused.error}` });
      else if (followed.some((one) => one.waiting)) waiting.push(process);
    }
    const left = until - clock.now();
    if (waiting.length === 0 || left <= 0)
      return { planes, applied: planes - refused.length - waiting.length, refused, waiting };
    await new Promise<void>((resolve) => void clock.after(Math.min(LOOK_EVERY_MS, left), resolve));
  }
}

function* consumersOf(
  sessions: Hub["sessions"],
): Generator<MessageInitShape<typeof SettingsConsumerSchema> & { namespace: string }> {
  for (const { settings } of sessions) {
    for (const { namespace, revision, applied, refused } of settings.namespaces) {
      yield {
        process: settings.facts.process(),
        service: settings.facts.service(),
        instance: settings.facts.consumer().instance,
        namespace,
        revision: BigInt(revision),
        appliedRevision: BigInt(applied),
        refusedRevision: BigInt(refused?.revision ?? 0),
        refusal: refused?.error ?? "",
        grays: [...settings.graysOf(namespace)],
      };
    }
  }
}

function only(settings: SettingsState, namespace: string, isUsed: boolean): SettingsState {
  if (namespace === "") return settings;
  const { namespaces } = settings;
  if (Object.hasOwn(namespaces, namespace)) return { namespaces: { [namespace]: namespaces[namespace] } };
  // Somebody uses it, and nothing is set.
  if (isUsed) return { namespaces: {} };
  const names = Object.keys(namespaces);
  const known = names.length === 0 ? "there is none yet" : `those that are: ${names.slice(0, 20).join(", ")}`;
  const text = `there is no namespace "${namespace.slice(0, 64)}"; ${known}${didYouMean(namespace, names)}`;
  throw new WeftError("not_found", text, { reason: "UNKNOWN_NAMESPACE" });
}

const LOOK_EVERY_MS = 20;
const MAX_WAIT_MS = 30_000;
