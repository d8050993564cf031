import { toWeftError, WeftError } from "../../core/errors.ts";
import type { ApiClient } from "./api-client.ts";
import { type ApiObject, type ApiResource, isRecord, parseObject, versionOf } from "./api-resource.ts";

export interface ObjectList {
  readonly objects: readonly ApiObject[];
  /** Of the moment as of which it is whole; what happens later is watched from there. */
  readonly resourceVersion: string;
}

/**
 * Everything of one kind, page by page, as of one moment that is not before it was asked (resourceVersion unset: the API server asks a quorum of etcd). Rejects `resource_exhausted` for more than
 * is kept in memory, else what the API server says.
 */
export async function listObjects(
  client: ApiClient,
  resource: ApiResource,
  selector: Readonly<Record<string, string>>,
  options: { metadataOnly?: boolean; timeoutMs?: number } = {},
): Promise<ObjectList> {
  for (let tries = 1; ; tries++) {
    try {
      return await listOnce(client, resource, selector, options);
    } catch (thrown) {
      const error = toWeftError(thrown);
      // The pages' moment is forgotten: it took too long.
      if (error.reason !== "GONE" || tries === MAX_TRIES) throw error;
    }
  }
}

async function listOnce(
  client: ApiClient,
  resource: ApiResource,
  selector: Readonly<Record<string, string>>,
  { metadataOnly = false, timeoutMs }: { metadataOnly?: boolean; timeoutMs?: number },
): Promise<ObjectList> {
  const objects: ApiObject[] = [];
  const limit = String(metadataOnly ? METADATA_PAGE : resource.page);
  let more = "";
  let resourceVersion = "";
  do {
    const query = { ...selector, limit, ...(more !== "" && { continue: more }) };
    const page = await client.ask({ verb: "list", resource, query, metadataOnly }, timeoutMs);
    try {
      const items = page.items ?? []; // Go's empty list may be null
      if (!isRecord(page.metadata) || !Array.isArray(items)) throw new Error("it is no list");
      for (const item of items) objects.push(parseObject(item));
      const { continue: next = "", resourceVersion: version } = page.metadata;
      if (typeof next !== "string" || typeof version !== "string") throw new Error("its metadata are none");
      versionOf(version);
      if (resourceVersion === "") resourceVersion = version;
      more = next;
    } catch (cause) {
      const text = `what Kubernetes at ${client.address} lists cannot be used: ${(cause as Error).message}`;
      throw new WeftError("internal", text, { reason: "BAD_ANSWER", cause });
    }
    if (objects.length > MAX_OBJECTS) {
      const text = `namespace "${client.namespace}" has more than ${MAX_OBJECTS} ${resource.plural}`;
      throw new WeftError("resource_exhausted", text, { reason: "TOO_MANY_OBJECTS" });
    }
  } while (more !== "");
  return { objects, resourceVersion };
}

const MAX_TRIES = 3;
const METADATA_PAGE = 1_000;
const MAX_OBJECTS = 200_000;
