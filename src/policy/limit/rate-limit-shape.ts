import { FIELD_NAME, POSITIVE, targetRefs } from "../resource/common-shapes.ts";
import { number, object, oneOf } from "../resource/shape.ts";

/** RateLimit.spec */
export const rateLimitSpec = object(
  {
    targetRefs,
    requests: number(1, 1_000_000_000, true),
    per: POSITIVE,
    burst: number(1, 1_000_000_000, true),
    key: object(
      { by: oneOf(["all", "address", "identity", "header"]), header: FIELD_NAME },
      ["by"],
      (value, path, report) => {
        const { by, header } = value as { by: string; header?: string };
        if (by === "header" && header === undefined) report(path, '"header" is missing: which one?');
      },
    ),
    maxKeys: number(1, 10_000_000, true),
    scope: oneOf(["process", "system"]),
  },
  ["requests"],
);
