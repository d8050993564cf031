import { WeftError } from "../../core/errors.ts";
import type { Hub } from "../hub.ts";
import { assertPlainConsul } from "../plain-text.ts";
import { assertMayRegister } from "../registrant.ts";
import { type ConsulApi, type ConsulApiListen, startConsulApi } from "./consul-api.ts";

export interface ConsulOfControlPlane {
  listen: ConsulApiListen;
  /** Plain text from other machines is taken, but for tokens. */
  plain: boolean;
  version: string;
  onEvent: (message: string) => void;
}

/**
 * Consul's API of a control plane. Where only the operator publishes, only who shows his token (X-Consul-Token) changes anything here: whoever deregisters a service takes it
 * away from everybody. Endpoints that prove who they are, and services that take mutual TLS alone, need it always.
 */
export function startControlConsul(
  hub: Hub,
  { listen, plain, version, onEvent }: ConsulOfControlPlane,
): Promise<ConsulApi> {
  const { registry, clock, checker, authority, tokens, catalog } = hub;
  return startConsulApi({
    ...listen,
    registry,
    clock,
    system: authority.system,
    version,
    describe: (id) => checker.describe(id),
    assertMayWrite(token) {
      if (hub.publishers === "anyone" || (token !== "" && tokens.isOperator(token))) return;
      const message =
        "Permission denied: the operator's token is needed as X-Consul-Token (CONSUL_HTTP_TOKEN); the file operator-token in the control plane's data folder holds it";
      throw new WeftError("unauthenticated", message, { reason: "NOT_OPERATOR" });
    },
    assertMayRegister: (endpoint, token) =>
      assertMayRegister(endpoint, {
        system: authority.system,
        mode: hub.mutualTls(endpoint.service),
        before: catalog.endpoint(endpoint.id),
        proves: () => token !== "" && tokens.isOperator(token),
        refusal: "the operator's token (X-Consul-Token) is needed for it",
      }),
    assertPlain: (peerAddress, secret) => assertPlainConsul(peerAddress, secret, plain),
    onError: onEvent,
  });
}
