import { described, isObject, kindOf } from "../resource/shape.ts";

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** `{ env: NAME }` or `{ file: PATH }`: a secret itself is refused, and not repeated in the message. */
export const secretRef = described(
  (value, path, report) => {
    if (!isObject(value)) {
      const what =
        typeof value === "string"
          ? "a secret does not belong into a resource; write"
          : `must be, not ${kindOf(value)},`;
      return report(path, `${what} { env: NAME } or { file: PATH }`);
    }
    const names = Object.keys(value);
    if (names.length !== 1 || (names[0] !== "env" && names[0] !== "file")) {
      return report(path, "must have exactly one of env and file");
    }
    if (typeof value.env === "string" && !NAME.test(value.env))
      report([...path, "env"], "must be the name of an environment variable");
    else if (typeof (value.env ?? value.file) !== "string" || (value.env ?? value.file) === "") {
      report([...path, names[0]], "must be a string");
    }
  },
  () => ({
    anyOf: ["env", "file"].map((name) => ({
      type: "object",
      properties: { [name]: { type: "string" } },
      required: [name],
      additionalProperties: false,
    })),
  }),
);
