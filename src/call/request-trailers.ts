import { type Head, trailersHead } from "../wire/head.ts";
import { isForwarding, plainName } from "./hop-fields.ts";

/**
 * A request's trailers as they go on. What hops say of a request they say in its head, before it is decided about: a field of theirs behind the body is somebody else's,
 * and there are servers that take trailers for fields of the head. The same head when nothing is to be left out.
 */
export function requestTrailers(trailers: Head): Head {
  const { fields } = trailers;
  for (let i = 0; i < fields.length; i += 2) {
    if (!isOfHops(fields[i])) continue;
    const passed = fields.slice(0, i);
    for (let j = i + 2; j < fields.length; j += 2) if (!isOfHops(fields[j])) passed.push(fields[j], fields[j + 1]);
    return trailersHead(passed);
  }
  return trailers;
}

/** As the data plane leaves them out of the heads of those who are not trusted. */
function isOfHops(name: string): boolean {
  const plain = plainName(name);
  return plain.startsWith("x-weft-") || isForwarding(plain) || plain === "x-request-id";
}
