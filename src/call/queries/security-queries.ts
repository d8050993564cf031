import { type Clock, systemClock } from "../../core/clock.ts";
import type { Query } from "../../policy/machine/query.ts";
import type {
  ExternalQuestion,
  SecretQuestion,
  SessionQuestion,
  TokenQuestion,
} from "../../policy/security/questions.ts";
import type { ExternalGrpc } from "./external-grpc.ts";
import type { ExternalHttp } from "./external-http.ts";
import type { Fetch } from "./fetch-json.ts";
import type { JwksCache } from "./jwks.ts";
import type { QueryHandler } from "./queries.ts";
import type { SecretChecker } from "./secret-query.ts";
import type { Sessions } from "./session-query.ts";
import type { TokenVerifier } from "./token-query.ts";

export interface SecurityQueryOptions {
  clock?: Clock;
  /** Default: the process's. */
  env?: Readonly<Record<string, string | undefined>>;
  /** Default: the global one. */
  fetch?: Fetch;
  /** What cannot be had: a key set, a file, a secret's variable. Never holds a secret. Each text comes at most once a minute. */
  onProblem?: (message: string) => void;
}

/** What security asks the outside. Everything is loaded when it is first asked for, so that a process without such policies pays nothing. */
export interface SecurityQueries {
  readonly handlers: Readonly<Record<"token" | "secret" | "session" | "external-authorization", QueryHandler>>;
  /** Signatures of tokens verified so far. */
  readonly verifications: number;
  close(): Promise<void>;
}

export function createSecurityQueries(options: SecurityQueryOptions = {}): SecurityQueries {
  const clock = options.clock ?? systemClock;
  const tell = seldom(options.onProblem ?? (() => {}), clock);
  const fetch: Fetch = options.fetch ?? ((url, init) => globalThis.fetch(url, init));
  let shared: Promise<Parts> | null = null;
  let loaded: Parts | null = null;
  const parts = (): Promise<Parts> => {
    shared ??= load(clock, options.env ?? process.env, fetch, tell).then((made) => (loaded = made));
    return shared;
  };
  let http: Promise<ExternalHttp> | null = null;
  let grpc: Promise<ExternalGrpc> | null = null;

  const handler =
    (ask: (query: Query) => Promise<unknown>): QueryHandler =>
    (query, answer) => {
      ask(query).then(answer, (error) => {
        tell(`${query.kind}: ${(error as Error).message}`);
        answer(null);
      });
    };
  return {
    handlers: {
      token: handler(async ({ key, about }) => (await parts()).tokens.verify(key, about as TokenQuestion)),
      secret: handler(async ({ key, about }) => (await parts()).checker.check(key, about as SecretQuestion)),
      session: handler(async ({ about }) => (await parts()).sessions.answer(about as SessionQuestion)),
      "external-authorization": handler(async ({ about }) => {
        const question = about as ExternalQuestion;
        if (question.external.http !== undefined) {
          http ??= import("./external-http.ts").then(({ ExternalHttp: Made }) => new Made());
          return (await http).ask(question);
        }
        grpc ??= import("./external-grpc.ts").then(({ ExternalGrpc: Made }) => new Made(clock));
        return (await grpc).ask(question);
      }),
    },
    get verifications() {
      return loaded?.tokens.verifications ?? 0;
    },
    async close() {
      loaded?.keys.close();
      (await http)?.close();
      await (await grpc)?.close();
    },
  };
}

interface Parts {
  readonly keys: JwksCache;
  readonly tokens: TokenVerifier;
  readonly checker: SecretChecker;
  readonly sessions: Sessions;
}

async function load(
  clock: Clock,
  env: Readonly<Record<string, string | undefined>>,
  fetch: Fetch,
  tell: (message: string) => void,
): Promise<Parts> {
  const [{ Secrets }, { JwksCache }, { TokenVerifier: Tokens }, { SecretChecker: Checker }, { OidcClient }, session] =
    await Promise.all([
      import("./secrets.ts"),
      import("./jwks.ts"),
      import("./token-query.ts"),
      import("./secret-query.ts"),
      import("./oidc-client.ts"),
      import("./session-query.ts"),
    ]);
  const secrets = new Secrets(clock, env, tell);
  const keys = new JwksCache(clock, fetch, secrets, tell);
  const tokens = new Tokens(keys, secrets, tell);
  const client = new OidcClient(clock, fetch, secrets, tokens);
  return {
    keys,
    tokens,
    checker: new Checker(secrets, tell),
    sessions: new session.Sessions(clock, client, secrets, tell),
  };
}

/** Each text at most once a minute; what goes wrong may go wrong with every call. */
function seldom(tell: (message: string) => void, clock: Clock): (message: string) => void {
  const told = new Map<string, number>();
  return (message) => {
    const now = clock.now();
    if (now - (told.get(message) ?? Number.NEGATIVE_INFINITY) < 60_000) return;
    if (told.size >= 256) told.clear();
    told.set(message, now);
    tell(message);
  };
}
