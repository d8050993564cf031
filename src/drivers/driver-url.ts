import { WeftError } from "../core/errors.ts";

/** How the urls of one driver look. */
export interface DriverUrlShape {
  /** "etcd" of "etcd://". */
  readonly scheme: string;
  /** For messages: "etcd". */
  readonly vendor: string;
  /** An example or two, for messages. */
  readonly looks: string;
  /** Names that parameters may have. */
  readonly parameters: readonly string[];
  /** In characters. Default 4,096. */
  readonly maxLength?: number;
}

/** Files of PEM that a driver's url names; "" for what it does not say: of `ca`, the authorities of the system are trusted. */
export interface TlsFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  /** Which name the server's certificate has, if not the one in its address. */
  readonly serverName: string;
}

/** Parameters of a url that mean TLS: `tls=true` (nothing else is wanted), files of PEM, and the name of the server. */
export const TLS_PARAMETERS = ["tls", "ca", "cert", "key", "serverName"] as const;

/**
 * SCHEME://LOGIN@ADDRESSES/PATH?NAME=VALUE&…, taken apart, which all drivers are opened with. Each method reads one part strictly, and throws `invalid_argument` (BAD_ADDRESS) that says what belongs there
 * and never repeats the url: it may hold a password or a token.
 */
export class DriverUrl {
  readonly #shape: DriverUrlShape;
  /** What stands before the "@", as it is written; null: there is none. */
  readonly login: string | null;
  /** Before the path, as it is written; "": nothing. */
  readonly hosts: string;
  /** With the slash at its start, as it is written; "": none. */
  readonly path: string;
  readonly #parameters = new Map<string, string>();

  constructor(url: string, shape: DriverUrlShape) {
    this.#shape = shape;
    const match = /^([a-z]+):\/\/(?:([^@/?#]*)@)?([^@/?#]*)(\/[^?#]*)?(?:\?([^#]*))?$/.exec(url);
    if (match === null || match[1] !== shape.scheme || url.length > (shape.maxLength ?? 4_096))
      throw this.bad(`it looks like ${shape.looks}`);
    const [, , login, hosts, path = "", query = ""] = match;
    this.login = login ?? null;
    this.hosts = hosts;
    this.path = path;
    for (const [name, value] of new URLSearchParams(query)) {
      if (!shape.parameters.includes(name)) throw this.bad(`its parameters are ${listed(shape.parameters)}`);
      if (value === "") throw this.bad(`${name} is empty`);
      if (this.#parameters.has(name)) throw this.bad(`${name} is given twice`);
      this.#parameters.set(name, value);
    }
  }

  /** One or more addresses, without the brackets of IPv6. */
  addresses(defaultPort: number, most: number): readonly { readonly host: string; readonly port: number }[] {
    const texts = this.hosts.split(",");
    if (texts.length > most)
      throw this.bad(most === 1 ? "one address is allowed" : `at most ${most} addresses are allowed`);
    return texts.map((text) => {
      const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text);
      const port = Number(match?.[3] ?? defaultPort);
      if (match === null || port < 1 || port > 65_535)
        throw this.bad(`an address is HOST, HOST:PORT or [IPV6]:PORT${most === 1 ? "" : ", with commas between them"}`);
      return { host: match[1] ?? match[2], port };
    });
  }

  /** The path as what all keys begin with: "teams/a", without slashes at its ends. Default "weft". */
  prefix(): string {
    const prefix = this.path.replace(/^\/|\/+$/g, "");
    if (prefix === "") return "weft";
    if (!prefix.split("/").every((part) => PREFIX_PART.test(part)))
      throw this.bad("the prefix of keys has letters, digits and any of . _ - between slashes");
    return prefix;
  }

  /** USER:PASSWORD; null where the url has no login. */
  credentials(): { readonly name: string; readonly password: string } | null {
    if (this.login === null) return null;
    const at = this.login.indexOf(":");
    if (at < 1) throw this.bad("before the @ belongs USER:PASSWORD");
    return { name: this.decoded(this.login.slice(0, at)), password: this.decoded(this.login.slice(at + 1)) };
  }

  parameter(name: string): string | undefined {
    return this.#parameters.get(name);
  }

  /** By TLS_PARAMETERS; null where it has none of them: plain text. */
  tls(): TlsFiles | null {
    const [tls, ca, cert, key, serverName] = TLS_PARAMETERS.map((name) => this.parameter(name) ?? "");
    if (tls !== "" && tls !== "true") throw this.bad("tls is true or is left out");
    if ((cert === "") !== (key === "")) throw this.bad("cert and key belong together");
    return tls + ca + cert + serverName === "" ? null : { ca, cert, key, serverName };
  }

  /** Without its escapes ("%40"). */
  decoded(text: string): string {
    try {
      return decodeURIComponent(text);
    } catch {
      throw this.bad('it has a "%" that is not followed by two hexadecimal digits; write %25');
    }
  }

  /** What to throw for a part that cannot be used; `what` says what belongs there. */
  bad(what: string): WeftError {
    const text = `the url of ${this.#shape.vendor} cannot be used: ${what}`;
    return new WeftError("invalid_argument", text, { reason: "BAD_ADDRESS" });
  }
}

/** "a, b and c" */
function listed(names: readonly string[]): string {
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

const PREFIX_PART = /^(?!\.{1,2}$)[A-Za-z0-9._-]+$/;
