import type { DeliverySchema } from "../../contract/gen/weft/control/v1/mesh.ts";
import type {
  GetSettingsRequest,
  GetSettingsResponseSchema,
  PublishSettingsRequest,
  SettingsConsumerSchema,
} from "../../contract/gen/weft/control/v1/settings.ts";
import type { MessageInitShape } from "../../contract/runtime.ts";
import { WeftError } from "../../core/errors.ts";
import { didYouMean } from "../../core/suggest.ts";
import type { SettingsState } from "../../settings/settings-state.ts";
import type { Hub } from "../hub.ts";
import type { Published } from "../publication.ts";
import { publishSettings } from "./publish-settings.ts";
import { settingsDelivery } from "./settings-delivery.ts";
import { changesOf } from "./settings-messages.ts";

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
): Promise<Published & { delivery?: MessageInitShape<typeof DeliverySchema> }> {
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
  const namespaces = changes.map(({ namespace }) => namespace);
  return { ...published, delivery: await settingsDelivery(hub, published.revision, namespaces, waitMs) };
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
