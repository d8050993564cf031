import type { DeliverySchema } from "../../contract/gen/weft/control/v1/mesh.ts";
import type { MessageInitShape } from "../../contract/runtime.ts";
import type { Hub } from "../hub.ts";
import type { SessionSettings } from "./session-settings.ts";

/**
 * Waits until every process that is attached here and uses one of the namespaces has said whether what it was sent of a revision is in force, for at most `waitMs`, and says what each of them said. The
 * revision may have been published elsewhere, and be still on its way here.
 */
export async function settingsDelivery(
  { settings, ledger, clock }: Pick<Hub, "settings" | "ledger" | "clock">,
  revision: number,
  namespaces: readonly string[],
  waitMs: number,
): Promise<MessageInitShape<typeof DeliverySchema>> {
  const consumers = new Map<SessionSettings, Set<string>>();
  for (const namespace of namespaces)
    for (const consumer of settings.consumersOf(namespace))
      consumers.set(consumer, (consumers.get(consumer) ?? new Set()).add(namespace));
  const until = clock.now() + Math.min(waitMs, MAX_WAIT_MS);
  for (;;) {
    const isHere = ledger.current.revision >= revision;
    const refused: { process: string; reason: string }[] = [];
    const waiting: string[] = [];
    let planes = 0;
    for (const [consumer, names] of consumers) {
      if (consumer.closed) continue;
      planes++;
      const followed = Array.from(names, (name) => consumer.namespace(name)).filter((one) => one !== undefined);
      const refusal = followed.find((one) => one.refused !== null);
      const process = consumer.facts.process();
      if (!isHere || followed.some((one) => one.waiting)) waiting.push(process);
      else if (refusal?.refused) refused.push({ process, reason: `${refusal.namespace}: ${refusal.refused.error}` });
    }
    const left = until - clock.now();
    if (waiting.length === 0 || left <= 0)
      return { planes, applied: planes - refused.length - waiting.length, refused, waiting };
    await new Promise<void>((resolve) => void clock.after(Math.min(LOOK_EVERY_MS, left), resolve));
  }
}

const LOOK_EVERY_MS = 20;
const MAX_WAIT_MS = 30_000;
