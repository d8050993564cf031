import type { Client } from "../../call/client-types.ts";
import { Access, type AccessRole, type AuditEntry } from "../../contract/gen/weft/control/v1/access.ts";
import { ROLE_NUMBERS } from "../access-roles.ts";
import { formatColumns } from "../columns.ts";
import { sanitize, type Terminal } from "../terminal.ts";
import { type IdentityFlags, withControl } from "./identity.ts";

type Metadata = { metadata: Record<string, string> };

/** `weft token admin`: prints the token and nothing else. */
export async function createAdminToken(
  flags: IdentityFlags & { role: string; name: string; ttl: number },
  terminal: Terminal,
): Promise<number> {
  return await withAccess(flags, async (client, options) => {
    const role = ROLE_NUMBERS[flags.role] as AccessRole;
    const { token } = await client.createAdminToken({ name: flags.name, role, ttlSeconds: flags.ttl }, options);
    terminal.out(`${token}\n`);
  });
}

/** `weft token ls` */
export async function listAdminTokens(flags: IdentityFlags & { json: boolean }, terminal: Terminal): Promise<number> {
  return await withAccess(flags, async (client, options) => {
    const { tokens } = await client.listAdminTokens({}, options);
    const { grants } = await client.listGrants({}, options);
    if (flags.json) return terminal.out(jsonOf({ tokens, grants }));
    const rows = [
      ...tokens.map(({ id, name, role, expiresMs }) => [id, name, nameOf(role), `until ${timeOf(expiresMs)}`]),
      ...grants.map(({ service, role }) => ["", service, nameOf(role), "by its certificate, until it is taken away"]),
    ];
    if (rows.length === 0) return terminal.out("nobody was given a role; the operator's token is all there is\n");
    const titles = ["ID", "NAME", "ROLE", "HOLDS"].map((title) => ({ title }));
    const cells = rows.map((row) => row.map((text) => ({ text: sanitize(text, false) })));
    terminal.out(`${formatColumns(titles, cells, terminal.color.dim).join("\n")}\n`);
  });
}

/** `weft token revoke` */
export async function revokeAdminToken(id: string, flags: IdentityFlags, terminal: Terminal): Promise<number> {
  return await withAccess(flags, async (client, options) => {
    await client.revokeAdminToken({ id }, options);
    terminal.out("revoked; it holds for at most five seconds more\n");
  });
}

/** `weft token grant` */
export async function grantRole(
  service: string,
  flags: IdentityFlags & { role: string },
  terminal: Terminal,
): Promise<number> {
  return await withAccess(flags, async (client, options) => {
    await client.grantRole({ service, role: ROLE_NUMBERS[flags.role] as AccessRole }, options);
    terminal.out(flags.role === "none" ? `${service} has no role now\n` : `${service} is ${flags.role} now\n`);
  });
}

/** `weft audit` */
export async function audit(
  flags: IdentityFlags & { follow: boolean; json: boolean; limit: number },
  terminal: Terminal,
): Promise<number> {
  return await withAccess(flags, async (client, options) => {
    const seen = new Set<string>();
    for (;;) {
      const { entries } = await client.listAudit({ limit: seen.size === 0 ? flags.limit : FOLLOWED }, options);
      for (const entry of entries) {
        if (seen.has(entry.cursor)) continue;
        seen.add(entry.cursor);
        terminal.out(`${flags.json ? lineOf(entry) : textOf(entry, terminal)}\n`);
      }
      if (!flags.follow) return;
      for (const cursor of seen) if (seen.size > 4 * FOLLOWED) seen.delete(cursor);
      seen.add("");
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
  });
}

async function withAccess(
  flags: IdentityFlags,
  body: (client: Client<typeof Access>, options: Metadata) => Promise<void>,
): Promise<number> {
  return await withControl(Access, flags, (client, metadata) => body(client, { metadata }));
}

function textOf(
  { atMs, who, address, action, about, revision, outcome, times }: AuditEntry,
  terminal: Terminal,
): string {
  const { red, dim } = terminal.color;
  const what = [action, revision === 0n ? "" : `-> revision ${revision}`, about]
    .filter((part) => part !== "")
    .join("  ");
  const came = outcome === "done" ? "" : `  ${red(sanitize(outcome, false))}${times > 1 ? ` ${times} times` : ""}`;
  return `${dim(timeOf(atMs))}  ${sanitize(who, false)} ${dim(sanitize(address, false))}  ${sanitize(what, false)}${came}`;
}

function lineOf({ $typeName: _, $unknown: __, atMs, revision, ...entry }: AuditEntry): string {
  return JSON.stringify({ ...entry, atMs: Number(atMs), revision: Number(revision) });
}

function jsonOf(value: object): string {
  const plain = (key: string, value: unknown): unknown =>
    key.startsWith("$")
      ? undefined
      : key === "role"
        ? nameOf(value as AccessRole)
        : typeof value === "bigint"
          ? Number(value)
          : value;
  return `${JSON.stringify(value, plain, 2)}\n`;
}

function nameOf(role: AccessRole): string {
  return Object.keys(ROLE_NUMBERS).find((name) => ROLE_NUMBERS[name] === role) ?? "none";
}

function timeOf(ms: bigint): string {
  return new Date(Number(ms)).toISOString();
}

const EVERY_MS = 1_000;
const FOLLOWED = 200;
