import { WeftError } from "../core/errors.ts";

/** Of what is asked of a registry after close(). */
export function registryClosed(): WeftError {
  return new WeftError("unavailable", "the registry is closed", { reason: "REGISTRY_CLOSED" });
}

/** Of an endpoint that is not there. */
export function unknownEndpoint(id: string): WeftError {
  const text = `no endpoint ${JSON.stringify(id.slice(0, 128))} is registered`;
  return new WeftError("not_found", text, { reason: "UNKNOWN_ENDPOINT" });
}

/** What to tell the owner of a lease that is over, and was not released. */
export function leaseOver(id: string, why: "expired" | "replaced"): WeftError {
  if (why === "replaced") {
    const text = `"${id}" has been registered by another owner since`;
    return new WeftError("not_found", text, { reason: "LEASE_REPLACED" });
  }
  return new WeftError("not_found", `the lease of "${id}" has expired; register again`, { reason: "LEASE_EXPIRED" });
}
