import { didYouMean } from "../../core/suggest.ts";
import { CONDITION_NAMES, isCondition } from "./conditions.ts";
import { type Check, described, duration, list, object, oneOf, shown, text } from "./shape.ts";

/* What the shapes of several kinds have in common. */

export const NAME = text("a name: lower-case letters, digits, - and .", /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, 253);
/** "products", "products@v1". */
export const BACKEND_NAME = text(
  'the name of a service, or "service@version"',
  /^[A-Za-z0-9][\w.:-]*(@[\w.-]+)?$/,
  253,
);
export const FIELD_NAME = text("the name of a header field", /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, 256);
export const FIELD_VALUE = text(
  "the value of a header field, without control characters",
  /^[ -~\u00a0-\uffff]*$/,
  4_096,
);
export const HOSTNAME = text(
  'a host name such as "shop.example" or "*.shop.example"',
  /^(\*|(\*\.)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*)$/,
  253,
);
export const PATH = text("a path that begins with /, without ? and #", /^\/[^?#\s]*$/, 1_024);
export const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
export const SWITCHABLE = duration(true);
export const POSITIVE = duration(false);

const checkCondition: Check = (value, path, report) => {
  if (typeof value === "number" && value >= 400 && value <= 599) return report(path, `must be a string: "${value}"`);
  if (typeof value === "string" && isCondition(value)) return;
  const near = typeof value === "string" ? didYouMean(value, CONDITION_NAMES) : "";
  report(path, `${shown(value)} is no condition${near || `; use HTTP statuses or ${CONDITION_NAMES.join(", ")}`}`);
};
const condition = described(checkCondition, () => ({
  anyOf: [{ enum: CONDITION_NAMES }, { type: "string", pattern: "^[45]\\d\\d$" }],
}));
export const conditions = list(condition, 0, 64);

export const targetRefs = list(
  object(
    {
      group: text(),
      kind: oneOf([
        "System",
        "Gateway",
        "Service",
        "Method",
        "HTTPRoute",
        "GRPCRoute",
        "TCPRoute",
        "UDPRoute",
        "TLSRoute",
      ]),
      name: text(),
      sectionName: NAME,
    },
    ["kind"],
    (value, path, report) => {
      const { kind, name, sectionName } = value as { kind: string; name?: string; sectionName?: string };
      if (name === undefined && kind !== "System" && kind !== "Gateway")
        report(path, `"name" is missing: which ${kind}?`);
      if (sectionName !== undefined && !kind.endsWith("Route")) report([...path, "sectionName"], "is for routes only");
      if (kind === "Method" && name !== undefined && !/^\/?[A-Za-z_][\w.]*(\/[A-Za-z_]\w*)?$/.test(name)) {
        report([...path, "name"], 'must be "package.Service/Method" or "package.Service"');
      }
    },
  ),
  0,
  256,
);
