import type { Endpoint } from "../core/endpoint.ts";

/** Whether two endpoints of one id are alike in everything that is told of them. */
export function isSameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.health === b.health && isSameButHealth(a, b);
}

/** As isSameEndpoint(), whatever their health. */
export function isSameButHealth(a: Endpoint, b: Endpoint): boolean {
  const names = Object.keys(a.metadata);
  return (
    a.service === b.service &&
    a.host === b.host &&
    a.port === b.port &&
    a.version === b.version &&
    a.zone === b.zone &&
    a.weight === b.weight &&
    a.protocol === b.protocol &&
    a.identity === b.identity &&
    names.length === Object.keys(b.metadata).length &&
    names.every((name) => a.metadata[name] === b.metadata[name])
  );
}
