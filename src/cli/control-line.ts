import { basename } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Client } from "../call/client-types.ts";
import { createDirectClient } from "../call/direct.ts";
import { Admin, type Revision } from "../contract/gen/weft/control/v1/control.ts";
import { WeftError } from "../core/errors.ts";
import { systemRandom } from "../core/random.ts";
import type { ControlLine, EndpointChange } from "../host/types.ts";
import { operatorLineProof } from "../link/line-proof.ts";
import { createLink } from "../link/link.ts";
import type { SuppliedPolicy } from "../link/types.ts";
import type { PolicyRuntime } from "../policy/runtime.ts";
import { createPolicyRuntime } from "../policy/snapshot/create-runtime.ts";
import { publishFirstSettings } from "./publish-first-settings.ts";
import { systemResources } from "./resources.ts";
import { packageVersion } from "./version.ts";

/** Opens the host's line to the control plane: it hears of every endpoint, publishes the system's resources, and registers what does not register itself. */
export async function openControlLine(
  url: string,
  onEndpoints: (change: EndpointChange) => void,
  onError: (error: Error) => void,
  operatorToken: () => string,
): Promise<ControlLine> {
  const address = url.replace(/^http:\/\//, "");
  const policy = observed(createPolicyRuntime({ random: systemRandom }), onEndpoints);
  // It registers what does not register itself.
  const proof = operatorLineProof(operatorToken);
  const link = createLink({ address, policy, process: "host", version: `weft ${packageVersion()}`, proof, onError });
  await link.subscribe("*", 10_000);
  return {
    async publish(system) {
      const { client, close } = createDirectClient(Admin, address);
      const reason = `start of ${system.name}`;
      const metadata = { authorization: `Bearer ${operatorToken()}` };
      try {
        // Before there is any service that cannot do without.
        await publishFirstSettings(client, system.settings, { author: AUTHOR, reason }, metadata);
        const resources = JSON.stringify(systemResources(system).resources);
        // A start that changes nothing makes no revision.
        const current = await client.getRevision({}).catch(() => null);
        if (current !== null && sameJson(current.resources, resources)) return;
        // What somebody put in force since, a rollback above all, is not undone by a start of the same description.
        const last = await lastOwn(client);
        if (current !== null && last !== null && sameJson(last.resources, resources)) {
          const by = `${current.author || "nobody"}${current.reason === "" ? "" : `, "${current.reason}"`}`;
          const text = `revision ${current.revision} (${by}) stays in force: ${basename(system.file)} is as it was when revision ${last.revision} was published from it; to put it in force again: weft publish`;
          onError(new WeftError("failed_precondition", text, { reason: "NOT_PUBLISHED" }));
          return;
        }
        await client.publishRevision({ resources, source: system.file, author: AUTHOR, reason }, { metadata });
      } finally {
        await close();
      }
    },
    register: (endpoint) => link.register({ endpoint, contracts: [], descriptors: null }),
    close: () => link.close(),
  };
}

/** The newest revision that a start published; null: none that is kept. */
async function lastOwn(client: Client<typeof Admin>): Promise<Revision | null> {
  const { revisions } = await client.listRevisions({ limit: 500 });
  // First settings leave resources as they were.
  const found = revisions.find(
    ({ author, changes }) =>
      author === AUTHOR && (changes.length === 0 || !changes.every((change) => change.startsWith("settings "))),
  );
  return found === undefined ? null : client.getRevision({ revision: found.revision }).catch(() => null);
}

const AUTHOR = "weft up";

function sameJson(a: string, b: string): boolean {
  try {
    return isDeepStrictEqual(JSON.parse(a), JSON.parse(b));
  } catch {
    return false;
  }
}

/** A policy runtime that also tells what it is told of endpoints. */
function observed(runtime: PolicyRuntime, onEndpoints: (change: EndpointChange) => void): SuppliedPolicy {
  return {
    applyResources: (...resources) => runtime.applyResources(...resources),
    applyEndpoints(delta) {
      runtime.applyEndpoints(delta);
      onEndpoints(delta);
    },
    quorumBreakers: () => runtime.quorumBreakers(),
    get sharesLimits() {
      return runtime.sharesLimits;
    },
    process: runtime.process,
    journal: runtime.journal,
  };
}
