import { WeftError } from "../core/errors.ts";

type Place = { readonly id: string; readonly service: string; readonly host: string; readonly port: number };

/** What is registered again is at the same place; whatever else of it may change. */
export function isSamePlace(a: Place, b: Place): boolean {
  return a.service === b.service && a.host === b.host && a.port === b.port;
}

/** Somebody else has the id, at another place. */
export function alreadyThere({ id, service: name, host, port }: Place): WeftError {
  const message = `"${id}" is an endpoint of ${name} at ${host}, port ${port}, already; choose another id, deregister that one, or say that it is to be replaced`;
  return new WeftError("already_exists", message, { reason: "ENDPOINT_EXISTS", place: { field: "id" } });
}
