import { Access, type AccessRole, type AuditEntry } from "../../contract/gen/weft/control/v1/access.ts";
import { ROLE_NUMBERS } from "../access-roles.ts";
import { type AskingFlags, askControl } from "../ask-control.ts";
import { formatColumns } from "../columns.ts";
import { jsonOf } from "../json-of.ts";
import { sanitize, type Terminal } from "../terminal.ts";

/** `weft token admin`: prints the token and nothing else. */
export async function createAdminToken(
  flags: AskingFlags & { role: string; name: string; ttl: number },
  terminal: Terminal,
): Promise<void> {
  await askControl(Access, flags, async (client, as) => {
    const role = ROLE_NUMBERS[flags.role] as AccessRole;
    const { token } = await client.createAdminToken({ name: flags.name, role, ttlSeconds: flags.ttl }, as);
    terminal.out(`${token}\n`);
  });
}

/** `weft token ls` */
export async function listAdminTokens(flags: AskingFlags & { json: boolean }, terminal: Terminal): Promise<void> {
  await askControl(Access, flags, async (client, as) => {
    const { tokens } = await client.listAdminTokens({}, as);
    const { grants } = await client.listGrants({}, as);
    if (flags.json) return terminal.out(jsonOf({ tokens: tokens.map(withRole), grants: grants.map(withRole) }));
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
export async function revokeAdminToken(id: string, flags: AskingFlags, terminal: Terminal): Promise<void> {
  await askControl(Access, flags, async (client, as) => {
    await client.revokeAdminToken({ id }, as);
    terminal.out("revoked; it holds for at most five seconds more\n");
  });
}

/** `weft token grant` */
export async function grantRole(
  service: string,
  flags: AskingFlags & { role: string },
  terminal: Terminal,
): Promise<void> {
  await askControl(Access, flags, async (client, as) => {
    await client.grantRole({ service, role: ROLE_NUMBERS[flags.role] as AccessRole }, as);
    terminal.out(flags.role === "none" ? `${service} has no role now\n` : `${service} is ${flags.role} now\n`);
  });
}

/** `weft audit` */
export async function audit(
  flags: AskingFlags & { follow: boolean; json: boolean; limit: number },
  terminal: Terminal,
): Promise<void> {
  await askControl(Access, flags, async (client, as) => {
    const seen = new Set<string>();
    for (;;) {
      const { entries } = await client.listAudit({ limit: seen.size === 0 ? flags.limit : FOLLOWED }, as);
      for (const entry of entries) {
        if (seen.has(entry.cursor)) continue;
        seen.add(entry.cursor);
        terminal.out(flags.json ? jsonOf(entry, 0) : textOf(entry, terminal));
      }
      if (!flags.follow) return;
      for (const cursor of seen) if (seen.size > 4 * FOLLOWED) seen.delete(cursor);
      seen.add("");
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
  });
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
  return `${dim(timeOf(atMs))}  ${sanitize(who, false)} ${dim(sanitize(address, false))}  ${sanitize(what, false)}${came}\n`;
}

function withRole<T extends { role: AccessRole }>(one: T): Omit<T, "role"> & { role: string } {
  return { ...one, role: nameOf(one.role) };
}

function nameOf(role: AccessRole): string {
  return Object.keys(ROLE_NUMBERS).find((name) => ROLE_NUMBERS[name] === role) ?? "none";
}

function timeOf(ms: bigint): string {
  return new Date(Number(ms)).toISOString();
}

const EVERY_MS = 1_000;
const FOLLOWED = 200;
