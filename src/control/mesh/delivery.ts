import type { DeliverySchema } from "../../contract/gen/weft/control/v1/mesh.ts";
import type { MessageInitShape } from "../../contract/runtime.ts";
import type { Clock } from "../../core/clock.ts";
import type { DataPlaneState } from "./data-plane.ts";

/** Waits until every data plane that is there has said whether a revision (or a later one) is in force, for at most `waitMs`, and says what each of them said. */
export async function deliveryOf(
  revision: number,
  planes: () => Iterable<DataPlaneState>,
  waitMs: number,
  clock: Clock,
): Promise<MessageInitShape<typeof DeliverySchema>> {
  const asked = new Set(Array.from(planes(), ({ process }) => process));
  const until = clock.now() + Math.min(waitMs, MAX_WAIT_MS);
  for (;;) {
    const present = [...planes()].filter(({ process }) => asked.has(process));
    const refused: { process: string; reason: string }[] = [];
    const waiting: string[] = [];
    for (const { process, acknowledged, refusals } of present) {
      // A refusal of an earlier revision says nothing of this one.
      const refusal = refusals.find((one) => one.revision >= revision);
      if (refusal !== undefined) {
        const { resource, reason } = refusal;
        refused.push({ process, reason: resource === "" ? reason : `${resource}: ${reason}` });
      } else if (acknowledged < revision) waiting.push(process);
    }
    const left = until - clock.now();
    if (waiting.length === 0 || left <= 0) {
      return { planes: present.length, applied: present.length - refused.length - waiting.length, refused, waiting };
    }
    await new Promise<void>((resolve) => void clock.after(Math.min(LOOK_EVERY_MS, left), resolve));
  }
}

const LOOK_EVERY_MS = 20;
const MAX_WAIT_MS = 30_000;
