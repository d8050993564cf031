import { FIELD_NAME, targetRefs } from "../resource/common-shapes.ts";
import { bool, type Check, described, isObject, list, object, oneOf, text } from "../resource/shape.ts";

/* What the shapes of Authentication and Authorization have in common. */

/** Exactly one of these fields. */
export function exactlyOne(names: readonly string[]): Check {
  return (value, path, report) => {
    const there = names.filter((name) => (value as Record<string, unknown>)[name] !== undefined);
    if (there.length !== 1) {
      report(
        path,
        `must have exactly one of ${names.join(", ")}${there.length === 0 ? "" : `, has ${there.join(" and ")}`}`,
      );
    }
  };
}

export const someText = text("a non-empty string", /./su, 2_048);

/** Gates act before a version is chosen. */
export const securityTargets = described(
  (value, path, report) => {
    targetRefs(value, path, report);
    if (!Array.isArray(value)) return;
    value.forEach((target, i) => {
      if (isObject(target) && target.kind === "Service" && String(target.name).includes("@")) {
        report([...path, i, "name"], "callers are judged before a version is chosen; name the service alone");
      }
    });
  },
  () => targetRefs.schema ?? {},
);

export const enforcedAt = list(oneOf(["gateway", "server"]), 1, 2);

const scalar = described(
  (value, path, report) => {
    if (!["string", "number", "boolean"].includes(typeof value))
      report(path, "must be a string, a number, true or false");
  },
  () => ({ type: ["string", "number", "boolean"] }),
);

export const claimMatch = object(
  {
    claim: someText,
    equals: scalar,
    in: list(scalar, 1, 256),
    contains: scalar,
    exists: bool,
  },
  ["claim"],
  exactlyOne(["equals", "in", "contains", "exists"]),
);

export const headerMatch = object(
  {
    name: FIELD_NAME,
    equals: text(),
    in: list(text(), 1, 256),
    prefix: text(),
    contains: text(),
    exists: bool,
  },
  ["name"],
  exactlyOne(["equals", "in", "prefix", "contains", "exists"]),
);

/** An address to fetch from or to send to: https, or http on this machine and inside a network that is trusted. */
export const httpUrl = described(
  (value, path, report) => {
    if (typeof value !== "string" || value.length > 2_048 || !URL.canParse(value) || !/^https?:\/\//.test(value)) {
      return report(path, `must be an address such as "https://id.example/keys"`);
    }
    const { username, password } = new URL(value);
    if (username !== "" || password !== "") report(path, "must hold no name or password");
  },
  () => ({ type: "string", pattern: "^https?://" }),
);
