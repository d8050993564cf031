import { systemClock } from "../../core/clock.ts";
import { systemRandom } from "../../core/random.ts";
import { openBackedRegistry } from "../../registry/backed-registry.ts";
import type { Registry } from "../../registry/registry.ts";
import { assertServiceName } from "../../registry/validate.ts";
import type { RegistryDriverOptions } from "../driver-options.ts";
import { PostgresBackend } from "./postgres-backend.ts";
import { createPostgresClient } from "./postgres-client.ts";
import { parsePostgresUrl } from "./postgres-url.ts";

/**
 * Endpoints in a PostgreSQL (12 or later), which several control planes may share: see BackedRegistry. Rejects `unavailable` when it does not answer in time, `unauthenticated` when the login is refused,
 * `permission_denied` where tables may not be made, `failed_precondition` without the database or the package `pg`, `invalid_argument` for a url that is none.
 */
export async function openPostgresRegistry(options: RegistryDriverOptions): Promise<Registry> {
  const { url, system, clock = systemClock, random = systemRandom, ...others } = options;
  const target = parsePostgresUrl(url);
  assertServiceName(system, "system");
  const client = await createPostgresClient(target, clock);
  return openBackedRegistry({
    backend: new PostgresBackend({ client, system, clock, random }),
    clock,
    random,
    ...others,
  });
}
