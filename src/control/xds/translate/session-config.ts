import type { SessionKeeper } from "../../../policy/route/session.ts";
import { compact, type Document, extension, seconds, typed } from "./document.ts";

export const SESSION = "envoy.filters.http.stateful_session";

/** Per-route configuration: the session's cookie or header names the endpoint as Envoy writes it, which weft does not read, nor Envoy weft's. */
export function sessionPerRoute({ type, name, absoluteMs, permanent }: SessionKeeper, path: string): Document {
  return typed("envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute", {
    stateful_session: {
      session_state: type === "Header" ? headerState(name) : cookieState(name, path, permanent ? absoluteMs : 0),
    },
  });
}

function headerState(name: string): Document {
  return extension(
    "envoy.http.stateful_session.header",
    "envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState",
    { name },
  );
}

function cookieState(name: string, path: string, ttlMs: number): Document {
  return extension(
    "envoy.http.stateful_session.cookie",
    "envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState",
    { cookie: compact({ name, path, ttl: ttlMs > 0 ? seconds(ttlMs) : undefined }) },
  );
}
