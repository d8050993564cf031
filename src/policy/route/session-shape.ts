import { POSITIVE } from "../resource/common-shapes.ts";
import { object, oneOf, text } from "../resource/shape.ts";

/** HTTPRoute and GRPCRoute: sessionPersistence of a rule. The name is a token, which both a cookie and a header need. */
export const sessionPersistence = object(
  {
    sessionName: text("the name of a cookie or header field", /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, 128),
    type: oneOf(["Cookie", "Header"]),
    absoluteTimeout: POSITIVE,
    idleTimeout: POSITIVE,
    cookieConfig: object({ lifetimeType: oneOf(["Session", "Permanent"]) }),
  },
  [],
  (value, path, report) => {
    const { type, absoluteTimeout, cookieConfig } = value as {
      type?: string;
      absoluteTimeout?: string;
      cookieConfig?: { lifetimeType?: string };
    };
    if (type === "Header" && cookieConfig !== undefined)
      report([...path, "cookieConfig"], "is for type Cookie; leave it out");
    if (cookieConfig?.lifetimeType === "Permanent" && absoluteTimeout === undefined)
      report(path, '"absoluteTimeout" is missing: how long does the browser keep the cookie?');
  },
);
