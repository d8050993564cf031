import type {
  GetRevisionRequest,
  ListRevisionsRequest,
  PublishRevisionRequest,
  RevisionSchema,
  RollbackRevisionRequest,
  TagRevisionRequest,
} from "../contract/gen/weft/control/v1/control.ts";
import type { MessageInitShape } from "../contract/runtime.ts";
import { WeftError } from "../core/errors.ts";
import type { Hub } from "./hub.ts";
import type { LedgerRevision } from "./ledger-revision.ts";
import { deliveryOf } from "./mesh/delivery.ts";
import type { Published } from "./publication.ts";

type RevisionMessage = Exclude<RevisionInit, { $typeName: string }>;
type RevisionInit = MessageInitShape<typeof RevisionSchema>;

/** What Admin answers about the ledger. */
export function ledgerAdmin(hub: Hub) {
  const { ledger } = hub;
  const delivered = async (published: Published, validateOnly: boolean, waitMs: number): Promise<RevisionMessage> => {
    if (validateOnly || waitMs === 0) return revisionMessage(published);
    const delivery = await deliveryOf(published.revision, () => hub.planes(), waitMs, hub.clock);
    return revisionMessage({ ...published, delivery });
  };
  return {
    publishRevision: async (request: PublishRevisionRequest) => {
      const { resources, source, author, reason, expectedRevision, validateOnly, waitMs } = request;
      const published = await ledger.publish({
        text: resources,
        source: source || "resources",
        author,
        reason,
        validateOnly,
        ...(expectedRevision !== undefined && { expected: Number(expectedRevision) }),
      });
      return delivered(published, validateOnly, waitMs);
    },

    rollbackRevision: async (request: RollbackRevisionRequest) => {
      const { revision, author, reason, expectedRevision, validateOnly, waitMs } = request;
      const how = { validateOnly, ...(expectedRevision !== undefined && { expected: Number(expectedRevision) }) };
      return delivered(await ledger.rollback(Number(revision), author, reason, how), validateOnly, waitMs);
    },

    getRevision: async ({ revision, tag, atMs }: GetRevisionRequest) => {
      if ([revision !== 0n, tag !== "", atMs !== 0n].filter(Boolean).length > 1)
        throw new WeftError("invalid_argument", "give one of revision, tag and at_ms", { reason: "AMBIGUOUS" });
      const found =
        tag !== "" ? ledger.tagged(tag) : atMs !== 0n ? ledger.at(Number(atMs)) : ledger.get(Number(revision));
      const entry = await found;
      return { ...revisionMessage(entry), tags: [...((await ledger.tags()).get(entry.revision) ?? [])] };
    },

    listRevisions: async ({ limit, before }: ListRevisionsRequest) => {
      const most = Math.min(limit || 50, 500);
      const notes = await ledger.list(most, before === 0n ? Number.MAX_SAFE_INTEGER : Number(before));
      const tags = await ledger.tags();
      return {
        revisions: notes.map(({ revision, author, reason, publishedMs, changes }) => ({
          revision: BigInt(revision),
          author,
          reason,
          publishedMs: BigInt(Math.round(publishedMs)),
          changes: [...changes],
          tags: [...(tags.get(revision) ?? [])],
        })),
      };
    },

    tagRevision: async ({ name, revision }: TagRevisionRequest) => {
      await ledger.tag(name, Number(revision));
      return {};
    },
  };
}

/** A revision as Admin tells of it. */
export function revisionMessage(
  revision: LedgerRevision & Partial<Pick<Published, "warnings">> & Pick<RevisionInit, "delivery">,
): RevisionMessage {
  const { author, reason, digest, resources, warnings = [], delivery } = revision;
  return {
    revision: BigInt(revision.revision),
    author,
    reason,
    publishedMs: BigInt(Math.round(revision.publishedMs)),
    digest,
    resources,
    settings: JSON.stringify(revision.settings),
    changes: [...revision.changes],
    warnings: [...warnings],
    delivery,
  };
}
