import type { PolicyField } from "../resource/policy-field.ts";
import { oneOf } from "../resource/shape.ts";

/** How an endpoint is told who connected: by a header of the PROXY protocol before a session's bytes, or not. */
export type ProxyProtocolSpec = "v1" | "v2" | "off";

/** "" for not (default). */
export const proxyProtocolField: PolicyField<ProxyProtocolSpec, "" | "v1" | "v2"> = {
  check: oneOf(["v1", "v2", "off"]),
  over: (_under, spec) => spec,
  compile: (spec) => (spec === null || spec === "off" ? "" : spec),
};
