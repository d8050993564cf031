import type { MutualTls } from "../../core/identity.ts";
import type { PolicyField } from "../resource/policy-field.ts";
import { oneOf } from "../resource/shape.ts";

/**
 * How a service takes calls: it holds for the service's listener, and for whoever calls it: a strict service is not called where it cannot prove who it is.
 * Default "permissive".
 */
export const mutualTlsField: PolicyField<MutualTls, MutualTls> = {
  check: oneOf(["strict", "permissive", "off"]),
  over: (_under, spec) => spec,
  compile: (spec) => spec ?? "permissive",
};
