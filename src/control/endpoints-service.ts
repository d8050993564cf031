import { isDeepStrictEqual } from "node:util";
import { endpointOfMessage, healthOfMessage } from "../contract/endpoint-message.ts";
import { Endpoints } from "../contract/gen/weft/control/v1/endpoints.ts";
import type { Endpoint } from "../core/endpoint.ts";
import { toWeftError, WeftError } from "../core/errors.ts";
import { printable } from "../core/printable.ts";
import type { Lease } from "../registry/registry.ts";
import { removeEndpoint } from "../registry/remove-endpoint.ts";
import { alreadyThere, isSamePlace } from "../registry/same-place.ts";
import { assertEndpoint, assertTtl } from "../registry/validate.ts";
import { type ServiceDefinition, service } from "../service/definition.ts";
import type { Hub } from "./hub.ts";
import { assertMayRegister } from "./registrant.ts";

/** What people and tools register, and take away; who may is looked at before (access/access-control.ts). */
export function createEndpointsService(hub: Hub): ServiceDefinition<typeof Endpoints> {
  const { registry, authority, catalog, tokens } = hub;
  /** Of endpoints that end unless they are registered again. */
  const leases = new Map<string, { readonly endpoint: Endpoint; readonly lease: Lease }>();
  /** Only the operator stands for services that prove who they are. */
  const isOperator = (authorization: string | undefined): boolean =>
    authorization?.startsWith("Bearer ") === true && tokens.isOperator(authorization.slice(7, 519));

  return service(Endpoints, {
    registerEndpoint: async ({ endpoint: message, ttlMs, replace }, { requestHeaders }) => {
      if (message === undefined)
        throw new WeftError("invalid_argument", "endpoint is missing", { place: { field: "endpoint" } });
      const endpoint = endpointOfMessage(message);
      const ttl = ttlMs === 0 ? Number.POSITIVE_INFINITY : ttlMs;
      assertEndpoint(endpoint);
      assertTtl(ttl);
      const before = catalog.endpoint(endpoint.id);
      const operator = isOperator(requestHeaders.get("authorization"));
      assertMayRegister(endpoint, {
        system: authority.system,
        mode: hub.mutualTls(endpoint.service),
        before,
        proves: () => operator,
        refusal: "the operator's token is needed for it",
      });
      if (before !== undefined && !replace && !isSamePlace(before, endpoint)) throw alreadyThere(before);
      const held = leases.get(endpoint.id);
      // The same again renews it, and what was said of its health since stays.
      if (before !== undefined && held !== undefined && isDeepStrictEqual(held.endpoint, endpoint)) {
        const renewed = await held.lease.renew().then(
          () => true,
          (thrown: unknown) => {
            if (toWeftError(thrown).code !== "not_found") throw thrown;
            return false;
          },
        );
        if (renewed) return {};
      }
      leases.delete(endpoint.id);
      const lease = await registry.register(endpoint, ttl);
      if (leases.size >= MAX_LEASES)
        for (const id of leases.keys()) if (catalog.endpoint(id) === undefined) leases.delete(id);
      if (ttlMs !== 0 && leases.size < MAX_LEASES) leases.set(endpoint.id, { endpoint, lease });
      return {};
    },

    deregisterEndpoint: async ({ id }, { requestHeaders }) => {
      const before = catalog.endpoint(id);
      if (before?.identity !== undefined && !isOperator(requestHeaders.get("authorization"))) {
        const text = `"${id}" is an endpoint of ${before.identity}: the operator's token is needed to take it away`;
        throw new WeftError("permission_denied", text, { reason: "NOT_PROVEN", place: { field: "id" } });
      }
      leases.delete(id);
      await removeEndpoint(registry, id);
      return {};
    },

    setEndpointHealth: async ({ id, health, reason }) => {
      if (health < 1 || health > 3)
        throw new WeftError("invalid_argument", "health must be HEALTH_HEALTHY, HEALTH_UNHEALTHY or HEALTH_DRAINING", {
          reason: "INVALID_ENDPOINT",
          place: { field: "health" },
        });
      await registry.setHealth(id, healthOfMessage(health), printable(reason, 256));
      return {};
    },
  });
}

/** Beyond it an endpoint that is registered again is registered anew. */
const MAX_LEASES = 100_000;
