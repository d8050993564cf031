import { WeftError } from "../../core/errors.ts";
import { loadSystem } from "../../host/load-system.ts";
import type { Resource } from "../../policy/resource/resources.ts";
import { parseResources } from "../../policy/resource/validate.ts";
import { jsonOf } from "../json-of.ts";
import { readResourceFiles } from "../resource-files.ts";
import { systemResources } from "../resources.ts";
import type { Terminal } from "../terminal.ts";
import { isSystem } from "./check.ts";
import { type PublishingFlags, publicationOf, withLedger } from "./ledger/ledger-line.ts";
import {
  DATA_PLANES,
  printDelivery,
  printWarnings,
  publishedText,
  statusOfDelivery,
} from "./ledger/print-published.ts";

/** `weft publish`: files of resources, or those of a system, take the place of what is in force. Exit status 1 where a data plane refuses them. */
export async function publish(paths: readonly string[], flags: PublishingFlags, terminal: Terminal): Promise<number> {
  const resources = await resourcesOf(paths);
  const parts = resources.map((resource) => JSON.stringify(resource));
  return withLedger(flags, async ({ client, metadata, find }) => {
    const before = await find("").catch((thrown: unknown) => {
      if (thrown instanceof WeftError && thrown.code === "unavailable") throw thrown;
      return null;
    });
    const published = await client.publishRevision(
      { resources: `[${parts.join(",")}]`, source: SOURCE, reason: flags.reason, ...publicationOf(flags) },
      { timeoutMs: flags.wait + 30_000, metadata },
    );
    const { revision, warnings, delivery } = published;
    if (flags.json) terminal.out(jsonOf(published));
    else {
      printWarnings(
        warnings.map((line) => named(line, resources, parts)),
        terminal,
      );
      if (flags.dryRun) terminal.out("nothing is wrong with them; nothing was published\n");
      else printDelivery(publishedText(revision, before?.revision !== revision), delivery, DATA_PLANES, terminal);
    }
    return statusOfDelivery(delivery);
  });
}

/** Everything that is wrong is said here, with files and lines, before anybody is asked. */
async function resourcesOf(paths: readonly string[]): Promise<readonly Resource[]> {
  const [only = "."] = paths;
  if (paths.length <= 1 && isSystem(only)) return systemResources(await loadSystem(only)).resources;
  return parseResources(readResourceFiles(paths)).resources;
}

/** What is said of a column of what was sent, of the resource that stands there. */
function named(line: string, resources: readonly Resource[], parts: readonly string[]): string {
  const match = /^resources:1:(\d+) (.*)$/s.exec(line);
  if (match === null) return line;
  let end = 1;
  const at = parts.findIndex((part) => (end += part.length + 1) > Number(match[1]));
  return at < 0 ? match[2] : `${resources[at].kind} ${resources[at].metadata.name} ${match[2]}`;
}

const SOURCE = "resources";
