import type { Endpoint } from "../core/endpoint.ts";
import type { Registry } from "./registry.ts";
import { unknownEndpoint } from "./registry-errors.ts";

/**
 * Takes an endpoint away, whoever registered it: to register the same is to take its lease over, and then it may be released. Its owner is told (LEASE_REPLACED). Rejects
 * `not_found` for what is not there, and what registering rejects.
 */
export async function removeEndpoint(registry: Registry, id: string): Promise<Endpoint> {
  const { endpoints } = await registry.query(["*"]);
  const endpoint = endpoints.find((one) => one.id === id);
  if (endpoint === undefined) throw unknownEndpoint(id);
  await (await registry.register(endpoint, TAKEN_MS)).release();
  return endpoint;
}

/** Should the release be lost. */
const TAKEN_MS = 60_000;
