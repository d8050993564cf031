import { userInfo } from "node:os";
import { Admin, type Revision } from "../../contract/gen/weft/control/v1/control.ts";
import { WeftError } from "../../core/errors.ts";
import { loadSystem } from "../../host/load-system.ts";
import type { Resource } from "../../policy/resource/resources.ts";
import { parseResources } from "../../policy/resource/validate.ts";
import { controlAddress } from "../control-address.ts";
import { controlClient } from "../control-client.ts";
import { EXIT } from "../exit-status.ts";
import { readResourceFiles } from "../resource-files.ts";
import { systemResources } from "../resources.ts";
import { sanitize, type Terminal } from "../terminal.ts";
import { isSystem } from "./check.ts";
import { type IdentityFlags, operatorToken } from "./identity.ts";

export interface PublishFlags extends IdentityFlags {
  reason: string;
  author?: string;
  wait: number;
  dryRun: boolean;
  json: boolean;
}

/** `weft publish`: files of resources, or those of a system, take the place of what is in force. Exit status 1 where a data plane refuses them. */
export async function publish(paths: readonly string[], flags: PublishFlags, terminal: Terminal): Promise<number> {
  const address = controlAddress(flags);
  const resources = await resourcesOf(paths);
  const parts = resources.map((resource) => JSON.stringify(resource));
  const token = operatorToken(flags);
  const { client, close } = await controlClient(Admin, address, token !== "");
  try {
    const before = await client.getRevision({}).catch((thrown: unknown) => {
      if (thrown instanceof WeftError && thrown.code === "unavailable") throw thrown;
      return null;
    });
    const revision = await client.publishRevision(
      {
        resources: `[${parts.join(",")}]`,
        source: SOURCE,
        author: flags.author ?? userName(),
        reason: flags.reason,
        validateOnly: flags.dryRun,
        waitMs: flags.wait,
      },
      { timeoutMs: flags.wait + 30_000, ...(token !== "" && { metadata: { authorization: `Bearer ${token}` } }) },
    );
    if (flags.json) terminal.out(jsonOf(revision));
    else
      print(
        { ...revision, warnings: revision.warnings.map((line) => named(line, resources, parts)) },
        { dryRun: flags.dryRun, isNew: before?.revision !== revision.revision },
        terminal,
      );
    return (revision.delivery?.refused.length ?? 0) > 0 ? EXIT.failed : EXIT.ok;
  } catch (thrown) {
    if (!(thrown instanceof WeftError) || thrown.code !== "unavailable") throw thrown;
    const message = `the control plane at ${address} cannot be asked: ${thrown.message}`;
    throw new WeftError("unavailable", message, { reason: "CANNOT_ASK", cause: thrown });
  } finally {
    await close();
  }
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

function print(
  { revision, warnings, delivery }: Revision,
  { dryRun, isNew }: { dryRun: boolean; isNew: boolean },
  terminal: Terminal,
): void {
  const { yellow, red } = terminal.color;
  for (const warning of warnings) terminal.out(`${yellow("warning")}  ${sanitize(warning, false)}\n`);
  if (dryRun) return terminal.out("nothing is wrong with them; nothing was published\n");
  const what = isNew ? `published revision ${revision}` : `revision ${revision} says the same; nothing was published`;
  if (delivery === undefined) return terminal.out(`${what}\n`);
  const { planes, applied, refused, waiting } = delivery;
  for (const { process, reason } of refused)
    terminal.out(`${red("refused")}  ${sanitize(process, false)}  ${sanitize(reason, false)}\n`);
  for (const process of waiting) terminal.out(`${yellow("waiting")}  ${sanitize(process, false)} has not answered\n`);
  terminal.out(`${what}; in force at ${applied} of ${planes} data ${planes === 1 ? "plane" : "planes"}\n`);
}

function jsonOf(revision: Revision): string {
  const plain = (key: string, value: unknown): unknown =>
    key.startsWith("$") ? undefined : typeof value === "bigint" ? Number(value) : value;
  return `${JSON.stringify(revision, plain, 2)}\n`;
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return ""; // a container may run as somebody who has no name
  }
}
