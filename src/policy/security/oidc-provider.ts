import type { LocalResponse } from "../call.ts";
import type { CallState } from "../machine/call-state.ts";
import { sentBy } from "../machine/request-values.ts";
import type { OidcSpec } from "./authentication-resource.ts";
import { AMBIGUOUS, cookieOf } from "./credential-place.ts";
import { credentialDigest, sha256 } from "./digest.ts";
import {
  digestOf,
  type Outcome,
  type Provider,
  Question,
  quoted,
  Refusal,
  Reply,
  Verified,
  wallOf,
} from "./provider.ts";
import type { SessionAnswer, SessionQuestion } from "./questions.ts";
import { stripCookies } from "./strip.ts";
import { VerifiedCache } from "./verified-cache.ts";

/**
 * Login at the gateway: OpenID Connect Core 1.0, the authorization code flow (section 3.1) with PKCE (RFC 7636, S256), state and nonce. The session is in the browser
 * alone, in an encrypted cookie; the gateway keeps none.
 *
 *     navigation without a session -> 302 to the provider (state, nonce and verifier in an encrypted cookie of their own)
 *     callbackPath?code&state      -> code for tokens -> 302 to where it began, with the session's cookie
 *     request with the cookie      -> decrypted once, then remembered by its digest; tokens that expire are refreshed, and the cookie with them
 *     logoutPath                   -> cookie taken away -> 302 to the provider's end of session
 *
 * Only a browser's navigation (GET, accept: text/html) is sent to log in; whatever else has no session gets 401.
 */
export class OidcProvider implements Provider {
  readonly label: string;
  readonly method = "oidc";
  readonly wanted: string;
  readonly #source: string;
  readonly #spec: OidcSpec;
  readonly #cookie: string;
  readonly #forward: boolean;
  readonly #verified = new VerifiedCache<Verified>();

  constructor(label: string, source: string, spec: OidcSpec, forward: boolean) {
    this.label = label;
    this.#source = source;
    this.#spec = spec;
    this.#cookie = spec.cookieName ?? "weft_session";
    this.#forward = forward;
    this.wanted = `a login at ${spec.issuer} (a browser's navigation is sent there)`;
  }

  check(call: CallState, now: number): Outcome | null {
    const request = sentBy(call);
    const mark = request.path.indexOf("?");
    const path = mark < 0 ? request.path : request.path.slice(0, mark);
    if (path === (this.#spec.callbackPath ?? "/oauth2/callback")) {
      return this.#callback(call, mark < 0 ? "" : request.path.slice(mark + 1));
    }
    const cookie = cookieOf(request.fields, this.#cookie);
    if (path === (this.#spec.logoutPath ?? "/oauth2/logout")) return this.#logout(call, cookie);
    if (cookie === null || cookie === "") return null;
    if (cookie === AMBIGUOUS) return new Refusal(`there is more than one cookie ${this.#cookie}`, 1);
    if (cookie.length > MAX_COOKIE) return new Refusal("its session cookie is too long", 1);
    const digest = credentialDigest(request.fields, cookie);
    const known = this.#verified.get(digest, wallOf(call, now));
    if (known !== null) return known;
    return this.#ask({ ...this.#common, type: "open", cookie }, digest, (answer, caller, later) => {
      for (const setCookie of answer.setCookies) caller.addResponseField("set-cookie", setCookie);
      if (answer.claims === null) {
        return this.login(caller, later) ?? new Refusal(answer.problem, 3);
      }
      const verified = new Verified(this.#principal(answer.claims), answer.freshUntil);
      this.#verified.set(digest, verified, answer.freshUntil);
      return verified;
    });
  }

  /** For a browser's navigation that nobody has established: the way to the login; null for whatever else. */
  login(call: CallState, _now: number): Question | null {
    const request = sentBy(call);
    if (request.method !== "GET" || !wantsHtml(request.fields)) return null;
    const returnTo = request.path.length <= MAX_RETURN ? request.path : "/";
    const question = { ...this.#common, type: "login", ...this.#where(call), returnTo } as const;
    return this.#ask(question, call.caller.requestId, (answer) =>
      answer.location === ""
        ? new Refusal(answer.problem, 5, true)
        : redirect(answer, `sent to ${this.#spec.issuer} to log in`),
    );
  }

  #callback(call: CallState, query: string): Outcome {
    const stateCookie = cookieOf(sentBy(call).fields, `${this.#cookie}_state`);
    if (stateCookie === null || stateCookie === AMBIGUOUS) {
      return new Refusal("the login was not begun in this browser, or took too long; begin again", 2);
    }
    const question = { ...this.#common, type: "callback", ...this.#where(call), query, stateCookie } as const;
    return this.#ask(question, digestOf(query), (answer) =>
      answer.location === "" ? new Refusal(answer.problem, 4) : redirect(answer, `logged in at ${this.#spec.issuer}`),
    );
  }

  #logout(call: CallState, cookie: string | typeof AMBIGUOUS | null): Outcome {
    const { secure, redirectUri } = this.#where(call);
    const afterLogout = new URL(this.#spec.afterLogout ?? "/", redirectUri).href;
    const session = typeof cookie === "string" && cookie.length <= MAX_COOKIE ? cookie : "";
    if (session !== "") this.#verified.delete(sha256(session, "hex"));
    const question = { ...this.#common, type: "logout", cookie: session, afterLogout, secure } as const;
    return this.#ask(question, call.caller.requestId, (answer) => redirect(answer, "logged out"));
  }

  get #common(): { oidc: OidcSpec; label: string } {
    return { oidc: this.#spec, label: this.label };
  }

  #where(call: CallState): { redirectUri: string; secure: boolean } {
    const { scheme, authority } = sentBy(call);
    const base = this.#spec.baseUrl ?? `${call.caller.secure ? "https" : scheme}://${authority}`;
    return {
      redirectUri: base.replace(/\/$/, "") + (this.#spec.callbackPath ?? "/oauth2/callback"),
      secure: base.startsWith("https:"),
    };
  }

  #ask(
    about: SessionQuestion,
    key: string,
    answered: (answer: SessionAnswer, call: CallState, now: number) => Outcome,
  ): Question {
    return new Question(
      { kind: "session", key: `${this.label} ${about.type} ${key}`, about },
      QUERY_MS,
      (result, call, now) =>
        result === null
          ? new Refusal(`${this.#spec.issuer} could not be reached in time`, 5, true)
          : answered(result as SessionAnswer, call, now),
    );
  }

  #principal(claims: Readonly<Record<string, unknown>>) {
    const subject = typeof claims.sub === "string" ? claims.sub : "";
    const { issuer } = this.#spec;
    return { source: this.#source, method: this.method, provider: this.label, subject, issuer, claims };
  }

  challenge(): string {
    return `Bearer realm=${quoted(this.label)}`;
  }

  strip(call: CallState): void {
    if (!this.#forward) stripCookies(call, (name) => name === this.#cookie || name === `${this.#cookie}_state`);
  }
}

function redirect({ location, setCookies }: SessionAnswer, text: string): Reply {
  const fields = ["location", location, "cache-control", "no-store"];
  for (const cookie of setCookies) fields.push("set-cookie", cookie);
  const response: LocalResponse = { error: null, status: 302, fields, body: null };
  return new Reply(response, text);
}

/** A navigation: browsers ask for text/html by name, programs for everything or for JSON. */
function wantsHtml(fields: readonly string[]): boolean {
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] === "accept" && fields[i + 1].includes("text/html")) return true;
    if (fields[i] === "content-type" && fields[i + 1].startsWith("application/grpc")) return false;
  }
  return false;
}

const MAX_COOKIE = 8_192;
const MAX_RETURN = 2_048;
/** Discovery, keys and the token endpoint, one after the other. */
const QUERY_MS = 10_000;
