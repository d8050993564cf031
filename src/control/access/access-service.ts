import { Access, AccessRole as RoleMessage } from "../../contract/gen/weft/control/v1/access.ts";
import { WeftError } from "../../core/errors.ts";
import { assertServiceName } from "../../registry/validate.ts";
import { type ServiceDefinition, service } from "../../service/definition.ts";
import type { AdminToken, AdminTokens } from "./admin-tokens.ts";
import type { AuditLog } from "./audit-log.ts";
import type { AccessRole } from "./method-roles.ts";

/** Admin tokens, grants and the audit log, for those whom accessControl() lets through. */
export function createAccessService(tokens: AdminTokens, audit: AuditLog): ServiceDefinition<typeof Access> {
  return service(
    Access,
    {
      createAdminToken: async ({ name, role, ttlSeconds }) => {
        const { token, made } = await tokens.create(name, roleOf(role), ttlSeconds);
        return { token, made: messageOf(made) };
      },
      listAdminTokens: async () => ({ tokens: (await tokens.list()).map(messageOf) }),
      revokeAdminToken: async ({ id }) => {
        await tokens.revoke(id);
        return {};
      },
      grantRole: async ({ service: name, role }) => {
        assertServiceName(name);
        if (name === "control")
          throw new WeftError("invalid_argument", '"control" is the control plane itself', {
            reason: "RESERVED_SERVICE",
          });
        await tokens.grant(name, role === RoleMessage.UNSPECIFIED ? null : roleOf(role));
        return {};
      },
      listGrants: async () => ({
        grants: (await tokens.grants()).map(({ service: name, role }) => ({ service: name, role: MESSAGES[role] })),
      }),
      listAudit: async ({ limit, after }) => {
        const entries = await audit.list(Math.min(limit || 100, 1_000), after);
        return {
          entries: entries.map((entry) => ({
            ...entry,
            atMs: BigInt(entry.atMs),
            revision: BigInt(entry.revision),
          })),
        };
      },
    },
    { maxRequestBytes: 65_536 },
  );
}

function messageOf({ role, madeMs, expiresMs, ...token }: AdminToken) {
  return { ...token, role: MESSAGES[role], madeMs: BigInt(madeMs), expiresMs: BigInt(expiresMs) };
}

function roleOf(role: RoleMessage): AccessRole {
  const known = (Object.keys(MESSAGES) as AccessRole[]).find((each) => MESSAGES[each] === role);
  if (known !== undefined) return known;
  throw new WeftError("invalid_argument", "role is one of reader, publisher, operator", {
    reason: "BAD_ROLE",
    place: { field: "role" },
  });
}

const MESSAGES: Readonly<Record<AccessRole, RoleMessage>> = {
  reader: RoleMessage.READER,
  publisher: RoleMessage.PUBLISHER,
  operator: RoleMessage.OPERATOR,
};
