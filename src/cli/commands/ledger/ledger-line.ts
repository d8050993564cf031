import { userInfo } from "node:os";
import type { Client } from "../../../call/client-types.ts";
import { Admin, type Revision } from "../../../contract/gen/weft/control/v1/control.ts";
import { type AskingFlags, askControl } from "../../ask-control.ts";

export interface LedgerFlags extends AskingFlags {
  json: boolean;
}

/** Of commands that make a revision. */
export interface PublishingFlags extends LedgerFlags {
  reason: string;
  author?: string;
  /** How long those who use it may take to say that it is in force, ms. */
  wait: number;
  dryRun: boolean;
}

/** The ledger, as commands see it. */
export interface LedgerLine {
  readonly client: Client<typeof Admin>;
  readonly metadata: Record<string, string>;
  /** "41", a tag, or "" for the current one. Rejects `not_found`. */
  find(name: string): Promise<Revision>;
}

/** Connects, and closes when `body` is done. */
export function withLedger<T>(flags: AskingFlags, body: (line: LedgerLine) => Promise<T>): Promise<T> {
  return askControl(Admin, flags, (client, { metadata }) =>
    body({
      client,
      metadata,
      find: (name) =>
        client.getRevision(/^\d{0,15}$/.test(name) ? { revision: BigInt(name || "0") } : { tag: name }, { metadata }),
    }),
  );
}

/** What every publication says of itself. */
export function publicationOf({ author = userName(), dryRun, wait }: PublishingFlags): {
  author: string;
  validateOnly: boolean;
  waitMs: number;
} {
  return { author, validateOnly: dryRun, waitMs: wait };
}

/** Who is at the terminal, as author of what is published; "" where nobody is known. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return ""; // a container may run as somebody who has no name
  }
}
