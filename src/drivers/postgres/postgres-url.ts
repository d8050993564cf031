import { DriverUrl, TLS_PARAMETERS, type TlsFiles } from "../driver-url.ts";

/** Where a PostgreSQL is and how to speak with it. */
export interface PostgresTarget {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** "": none is given. */
  readonly password: string;
  readonly database: string;
  /** Of weft's tables and functions. */
  readonly schema: string;
  /** Null: plain text. */
  readonly tls: TlsFiles | null;
}

/**
 * "postgres://user:password@host:5432/DATABASE?schema=weft&ca=ca.pem": the port is 5432 unless said; parameters are `schema` (default "weft") and those of TLS (driver-url.ts). Throws
 * `invalid_argument`.
 */
export function parsePostgresUrl(text: string): PostgresTarget {
  const parameters = ["schema", ...TLS_PARAMETERS];
  const url = new DriverUrl(text, { scheme: "postgres", vendor: "PostgreSQL", looks: LOOKS, parameters });
  const [address] = url.addresses(5_432, 1);
  const [, name = "", password = ""] = /^([^:]*)(?::(.*))?$/.exec(url.login ?? "") ?? [];
  if (name === "") throw url.bad("before the @ belongs USER or USER:PASSWORD");
  const database = url.decoded(url.path.slice(1));
  if (database === "" || database.length > 63 || url.path.includes("/", 1))
    throw url.bad("behind the host belongs the name of a database, of at most 63 characters");
  const schema = url.parameter("schema") ?? "weft";
  if (!/^[a-z_][a-z0-9_]{0,39}$/.test(schema))
    throw url.bad("schema has lower-case letters, digits and underscores, at most 40");
  return { ...address, user: url.decoded(name), password: url.decoded(password), database, schema, tls: url.tls() };
}

const LOOKS = '"postgres://user:password@127.0.0.1:5432/database"';
