import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Clock } from "../../core/clock.ts";
import { durationMs } from "../../policy/resource/duration.ts";
import type { OidcSpec } from "../../policy/security/authentication-resource.ts";
import type { SessionAnswer, SessionQuestion } from "../../policy/security/questions.ts";
import { VerifiedCache } from "../../policy/security/verified-cache.ts";
import { type OidcClient, ProviderRefusal, type Tokens } from "./oidc-client.ts";
import { CookieSealer } from "./sealed-cookie.ts";
import type { Secrets } from "./secrets.ts";

/** Logins at the gateway. policy/security/oidc-provider.ts says when which question is asked. Nothing is kept here but what was refreshed in the last minute. */
export class Sessions {
  readonly #clock: Clock;
  readonly #client: OidcClient;
  readonly #secrets: Secrets;
  readonly #onProblem: (message: string) => void;
  readonly #sealers = new Map<string, CookieSealer>();
  /** Refresh tokens may be good once only: requests that come together with the same cookie are answered together, and late ones alike. */
  readonly #refreshing = new Map<string, Promise<SessionAnswer | null>>();
  readonly #refreshed = new VerifiedCache<SessionAnswer>(10_000);

  constructor(clock: Clock, client: OidcClient, secrets: Secrets, onProblem: (message: string) => void) {
    this.#clock = clock;
    this.#client = client;
    this.#secrets = secrets;
    this.#onProblem = onProblem;
  }

  /** Null: the provider could not be reached, or the gateway is not set up for it. */
  async answer(question: SessionQuestion): Promise<SessionAnswer | null> {
    try {
      switch (question.type) {
        case "open":
          return await this.#open(question);
        case "login":
          return await this.#login(question);
        case "callback":
          return await this.#callback(question);
        default:
          return await this.#logout(question);
      }
    } catch (error) {
      this.#onProblem(`${question.label}: ${(error as Error).message}`);
      return null;
    }
  }

  // --- begin ----------------------------------------------------------------------------------------------------

  async #login({
    oidc,
    label,
    redirectUri,
    returnTo,
    secure,
  }: SessionQuestion & { type: "login" }): Promise<SessionAnswer> {
    const { authorization_endpoint: endpoint } = await this.#client.discover(oidc);
    const sealer = await this.#sealer(oidc, label, "state");
    const login: LoginState = {
      state: token(),
      nonce: token(),
      verifier: token(),
      returnTo,
      redirectUri,
      until: this.#clock.wallMs() + LOGIN_MS,
    };
    const url = new URL(endpoint);
    const parameters = {
      response_type: "code",
      client_id: oidc.clientId,
      redirect_uri: redirectUri,
      scope: [...new Set(["openid", ...(oidc.scopes ?? [])])].join(" "),
      state: login.state,
      nonce: login.nonce,
      code_challenge: createHash("sha256").update(login.verifier).digest("base64url"),
      code_challenge_method: "S256",
    };
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
    const cookie = setCookie(`${cookieName(oidc)}_state`, sealer.seal(login), secure, LOGIN_MS / 1000);
    return { ...NOTHING, location: url.href, setCookies: [cookie] };
  }

  // --- back from the provider -----------------------------------------------------------------------------------

  async #callback(question: SessionQuestion & { type: "callback" }): Promise<SessionAnswer> {
    const { oidc, label, secure, query } = question;
    const login = (await this.#sealer(oidc, label, "state")).open(question.stateCookie) as LoginState | undefined;
    const said = new URLSearchParams(query);
    const again = "the login took too long or was not begun in this browser; begin again";
    if (login === undefined || login.until <= this.#clock.wallMs()) return refused(again);
    if (!same(said.get("state") ?? "", login.state)) return refused(again);
    const issuer = said.get("iss"); // RFC 9207
    if (issuer !== null && issuer !== oidc.issuer) return refused("the answer is of another issuer");
    const code = said.get("code");
    if (code === null)
      return refused(`the login failed: ${(said.get("error") ?? "no code").replace(/[^\w .-]/g, "?").slice(0, 80)}`);
    const form = {
      grant_type: "authorization_code",
      code,
      redirect_uri: login.redirectUri,
      code_verifier: login.verifier,
    };
    let tokens: Tokens;
    try {
      tokens = await this.#client.tokens(oidc, form, login.nonce);
    } catch (error) {
      if (error instanceof ProviderRefusal) return refused(`the login failed: ${error.message}`);
      throw error;
    }
    const until = this.#clock.wallMs() + durationMs(oidc.session ?? "8h");
    const session = this.#sessionOf(tokens, tokens.claims ?? {}, until);
    const cookie = await this.#sessionCookie(oidc, label, session, secure);
    if (cookie === null) return refused("the login's claims do not fit into a cookie; ask for fewer scopes");
    const gone = setCookie(`${cookieName(oidc)}_state`, "", secure, 0);
    return { ...NOTHING, location: localPath(login.returnTo), setCookies: [cookie, gone] };
  }

  // --- with a session -------------------------------------------------------------------------------------------

  async #open({ oidc, label, cookie }: SessionQuestion & { type: "open" }): Promise<SessionAnswer | null> {
    const session = (await this.#sealer(oidc, label, "session")).open(cookie) as Session | undefined;
    const now = this.#clock.wallMs();
    if (session === undefined || session.until <= now)
      return { ...NOTHING, problem: "the session has ended; log in again" };
    if (session.fresh > now) return { ...NOTHING, claims: session.claims, freshUntil: believeUntil(session, now) };
    const digest = createHash("sha256").update(cookie).digest("base64url");
    const known = this.#refreshed.get(digest, now);
    if (known !== null) return known;
    let open = this.#refreshing.get(digest);
    if (open === undefined) {
      open = this.#refresh(oidc, label, session, digest).finally(() => this.#refreshing.delete(digest));
      this.#refreshing.set(digest, open);
    }
    return open;
  }

  async #refresh(oidc: OidcSpec, label: string, session: Session, digest: string): Promise<SessionAnswer | null> {
    const secure = session.secure;
    let tokens: Tokens;
    try {
      tokens = await this.#client.tokens(oidc, { grant_type: "refresh_token", refresh_token: session.refresh }, null);
    } catch (error) {
      if (!(error instanceof ProviderRefusal)) throw error;
      const gone = setCookie(cookieName(oidc), "", secure, 0);
      return { ...NOTHING, problem: "the session has ended at the provider; log in again", setCookies: [gone] };
    }
    const claims = tokens.claims ?? session.claims;
    // Section 12.2: a refresh is for the same user.
    if (claims.sub !== session.claims.sub) return refused("the provider answers for another user");
    const next = this.#sessionOf(tokens, claims, session.until);
    const renewed = { ...next, refresh: next.refresh || session.refresh };
    const cookie = await this.#sessionCookie(oidc, label, renewed, secure);
    const now = this.#clock.wallMs();
    const answer = {
      ...NOTHING,
      claims: next.claims,
      freshUntil: Math.min(believeUntil(renewed, now), now + KEPT_MS),
      setCookies: cookie === null ? [] : [cookie],
    };
    this.#refreshed.set(digest, answer, now + KEPT_MS);
    return answer;
  }

  async #logout({ oidc, afterLogout, secure }: SessionQuestion & { type: "logout" }): Promise<SessionAnswer> {
    const gone = setCookie(cookieName(oidc), "", secure, 0);
    let location = afterLogout;
    try {
      const { end_session_endpoint: endpoint } = await this.#client.discover(oidc);
      if (endpoint !== undefined && URL.canParse(endpoint)) {
        const url = new URL(endpoint); // OpenID Connect RP-Initiated Logout 1.0
        url.searchParams.set("client_id", oidc.clientId);
        url.searchParams.set("post_logout_redirect_uri", afterLogout);
        location = url.href;
      }
    } catch {
      // Out of reach: the session here ends all the same.
    }
    return { ...NOTHING, location, setCookies: [gone] };
  }

  // --- cookies --------------------------------------------------------------------------------------------------

  #sessionOf({ refreshToken, expiresInMs }: Tokens, claims: Readonly<Record<string, unknown>>, until: number): Session {
    const kept = Object.fromEntries(Object.entries(claims).filter(([name]) => !NOT_KEPT.has(name)));
    const fresh = refreshToken === "" ? until : Math.min(until, this.#clock.wallMs() + expiresInMs);
    return { claims: kept, until, fresh, refresh: refreshToken, secure: false };
  }

  /** Null when it is larger than browsers keep. */
  async #sessionCookie(oidc: OidcSpec, label: string, session: Session, secure: boolean): Promise<string | null> {
    const sealer = await this.#sealer(oidc, label, "session");
    const seconds = Math.max(0, Math.floor((session.until - this.#clock.wallMs()) / 1000));
    const cookie = setCookie(cookieName(oidc), sealer.seal({ ...session, secure }), secure, seconds);
    return cookie.length <= MAX_COOKIE ? cookie : null;
  }

  async #sealer(oidc: OidcSpec, label: string, purpose: string): Promise<CookieSealer> {
    const secrets: string[] = [];
    for (const ref of oidc.cookieKeys) {
      const secret = await this.#secrets.secret(ref);
      if (secret !== null && secret.length >= MIN_KEY) secrets.push(secret);
      else if (secret !== null)
        this.#onProblem(`${label}: a cookie key is shorter than ${MIN_KEY} characters and is not used`);
    }
    if (secrets.length === 0) throw new Error("there is no cookie key");
    const name = `${label} ${purpose}`;
    const key = createHash("sha256")
      .update(JSON.stringify([name, secrets]))
      .digest("base64url");
    let sealer = this.#sealers.get(key);
    if (sealer === undefined) {
      if (this.#sealers.size >= MAX_SEALERS) this.#sealers.clear();
      this.#sealers.set(key, (sealer = new CookieSealer(secrets, name)));
    }
    return sealer;
  }
}

interface LoginState {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
  readonly returnTo: string;
  readonly redirectUri: string;
  readonly until: number;
}

interface Session {
  readonly claims: Readonly<Record<string, unknown>>;
  /** Epoch ms: when the login ends, and until when nothing needs to be refreshed. */
  readonly until: number;
  readonly fresh: number;
  readonly refresh: string;
  readonly secure: boolean;
}

const NOTHING: SessionAnswer = { claims: null, freshUntil: 0, location: "", setCookies: [], problem: "" };

function refused(problem: string): SessionAnswer {
  return { ...NOTHING, problem };
}

function believeUntil({ fresh, until }: Session, now: number): number {
  return Math.min(fresh, until, now + BELIEVED_MS);
}

function cookieName({ cookieName: name }: OidcSpec): string {
  return name ?? "weft_session";
}

function setCookie(name: string, value: string, secure: boolean, maxAgeSeconds: number): string {
  return `${name}=${value}; Path=/; Max-Age=${maxAgeSeconds}; HttpOnly${secure ? "; Secure" : ""}; SameSite=Lax`;
}

/** Back to where it began, never to another host ("//evil.example", "/\evil.example"). */
function localPath(path: string): string {
  return /^\/(?![/\\])/.test(path) ? path : "/";
}

function same(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** 256 bits, as RFC 7636 section 7.1 wants of a verifier. */
function token(): string {
  return randomBytes(32).toString("base64url");
}

/** Of the ID token: what says nothing of the user. */
const NOT_KEPT: ReadonlySet<string> = new Set(["nonce", "at_hash", "c_hash", "s_hash", "jti", "sid", "azp", "nbf"]);
const LOGIN_MS = 600_000;
const KEPT_MS = 60_000;
/** How long other calls with the cookie do not ask again. */
const BELIEVED_MS = 300_000;
const MIN_KEY = 32;
/** RFC 6265 section 6.1. */
const MAX_COOKIE = 4_096;
const MAX_SEALERS = 100;
