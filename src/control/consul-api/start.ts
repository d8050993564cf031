import { WeftError } from "../../core/errors.ts";
import { printable } from "../../core/printable.ts";
import type { AdminTokens } from "../access/admin-tokens.ts";
import type { AuditLog } from "../access/audit-log.ts";
import { type AccessRole, mayDo } from "../access/method-roles.ts";
import type { Hub } from "../hub.ts";
import { assertPlainConsul } from "../plain-text.ts";
import { assertMayRegister } from "../registrant.ts";
import { type ConsulApi, type ConsulApiListen, startConsulApi } from "./consul-api.ts";

export interface ConsulOfControlPlane {
  listen: ConsulApiListen;
  /** Plain text from other machines is taken, but for tokens. */
  plain: boolean;
  version: string;
  admins: AdminTokens;
  audit: AuditLog;
  onEvent: (message: string) => void;
}

/**
 * Consul's API of a control plane. Where not everybody publishes, only who shows a token of who may (X-Consul-Token) changes anything here: whoever deregisters a service takes it
 * away from everybody. All of it is in the audit log, but for what checks say. Endpoints that prove who they are, and services that take mutual TLS alone, need it always.
 */
export function startControlConsul(
  hub: Hub,
  { listen, plain, version, admins, audit, onEvent }: ConsulOfControlPlane,
): Promise<ConsulApi> {
  const { registry, clock, checker, authority, tokens, catalog } = hub;
  const isOperator = (token: string): boolean => token !== "" && tokens.isOperator(token);
  const roleOf = async (token: string): Promise<AccessRole | null> =>
    isOperator(token) ? "operator" : token === "" ? null : ((await admins.find(token))?.role ?? null);
  const whoIs = async (token: string): Promise<string> => {
    if (isOperator(token)) return "operator";
    const found = token === "" ? null : await admins.find(token);
    return found === null ? "anyone" : `token ${found.name} (${found.id})`;
  };
  const assertMayWrite = async (token: string): Promise<void> => {
    const role = await roleOf(token);
    if (mayDo(role, "publisher") || (role === null && hub.publishers === "anyone")) return;
    const message =
      "Permission denied: a token is needed as X-Consul-Token (CONSUL_HTTP_TOKEN): one of `weft token admin --role publisher`, or the operator's, which the file operator-token in the control plane's data folder holds";
    throw new WeftError("unauthenticated", message, { reason: "NOT_OPERATOR" });
  };
  return startConsulApi({
    ...listen,
    registry,
    clock,
    system: authority.system,
    version,
    describe: (id) => checker.describe(id),
    assertMayWrite,
    async audited({ token, address, action, about }, act) {
      const entry = { who: await whoIs(token), address, action, about: printable(about, 200), revision: 0 };
      try {
        await assertMayWrite(token);
      } catch (thrown) {
        audit.refused(entry, thrown);
        throw thrown;
      }
      return audit.change(entry, act);
    },
    assertMayRegister: (endpoint, token) =>
      assertMayRegister(endpoint, {
        system: authority.system,
        mode: hub.mutualTls(endpoint.service),
        before: catalog.endpoint(endpoint.id),
        proves: () => isOperator(token),
        refusal: "the operator's token (X-Consul-Token) is needed for it",
      }),
    assertPlain: (peerAddress, secret) => assertPlainConsul(peerAddress, secret, plain),
    onError: onEvent,
  });
}
