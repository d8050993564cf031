import { BACKEND_NAME, HOSTNAME, NAME } from "../resource/common-shapes.ts";
import { type Check, list, number, object, oneOf, text } from "../resource/shape.ts";
import { parentRef } from "./route-shapes.ts";

/* TCPRoute.spec, UDPRoute.spec and TLSRoute.spec. */

const backendRef = object(
  {
    group: text(),
    kind: oneOf(["Service"]),
    name: BACKEND_NAME,
    namespace: text(),
    port: number(1, 65_535, true),
    weight: number(0, 1_000_000, true),
  },
  ["name"],
);

const parts: Record<string, Check> = {
  parentRefs: list(parentRef, 0, 32),
  rules: list(object({ name: NAME, backendRefs: list(backendRef, 1, 16) }, ["backendRefs"]), 1, 1),
};

export const sessionRouteSpec: Check = object(parts, ["rules"]);
export const tlsRouteSpec: Check = object({ ...parts, hostnames: list(HOSTNAME, 0, 64) }, ["rules"]);
