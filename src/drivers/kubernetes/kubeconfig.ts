import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parse } from "yaml";
import { WeftError } from "../../core/errors.ts";
import { isRecord } from "./api-resource.ts";
import type { ClusterAccess, Secret } from "./cluster-access.ts";
import { isNamespace } from "./kubernetes-url.ts";

/**
 * What kubectl's files say of a context ("": the current one). Several files are read as kubectl does: the first that names something wins. Throws `invalid_argument` that names the file and what in it cannot be
 * used: exec plugins, auth providers, passwords, impersonation, proxies and servers that prove nothing.
 */
export function readKubeconfig(files: readonly string[], context: string, namespace: string): ClusterAccess {
  const read = files.map(readFile);
  const wanted = context !== "" ? context : (read.map(({ current }) => current).find((name) => name !== "") ?? "");
  if (wanted === "") throw bad(files[0], 'has no "current-context": add context=NAME to the url');
  const chosen = find(read, "contexts", "context", wanted);
  const cluster = find(read, "clusters", "cluster", textOf(chosen, "cluster"));
  const user = find(read, "users", "user", textOf(chosen, "user"));
  const { host, port, plain, basePath } = serverOf(cluster);
  for (const [field, instead] of UNUSABLE_OF_CLUSTER)
    if (isSet(cluster, field)) throw bad(cluster.file, `has ${field}, ${instead}`);
  for (const [field, instead] of UNUSABLE_OF_USER)
    if (isSet(user, field)) throw bad(user.file, `has ${field}, ${instead}`);
  const token = secretOf(user, "token", "tokenFile", false);
  if (plain && host !== "127.0.0.1" && host !== "localhost" && host !== "::1")
    throw bad(cluster.file, "names a server without TLS that is not on this machine; write https://");
  const cert = secretOf(user, "client-certificate-data", "client-certificate", true);
  const key = secretOf(user, "client-key-data", "client-key", true);
  if ((cert === null) !== (key === null))
    throw bad(user.file, "has a client certificate without its key, or a key alone");
  const own = namespace !== "" ? namespace : textOf(chosen, "namespace") || "default";
  if (!isNamespace(own)) throw bad(chosen.file, "names a namespace that cannot be one");
  const ca = secretOf(cluster, "certificate-authority-data", "certificate-authority", true);
  const tls = plain ? null : { ca, cert, key, serverName: textOf(cluster, "tls-server-name") };
  return { host, port, basePath, tls, token: plain ? null : token, namespace: own };
}

/** One entry of a file; paths in it are relative to that file. */
interface Part {
  readonly file: string;
  readonly values: Readonly<Record<string, unknown>>;
}

interface Config {
  readonly file: string;
  readonly values: Readonly<Record<string, unknown>>;
  readonly current: string;
}

function readFile(file: string): Config {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (thrown) {
    throw bad(file, `cannot be read (${(thrown as NodeJS.ErrnoException).code ?? "unreadable"})`);
  }
  if (text.length > MAX_FILE) throw bad(file, "is too large to be one");
  let values: unknown;
  try {
    values = parse(text, { maxAliasCount: 0 });
  } catch {
    throw bad(file, "is no YAML"); // what the parser says may repeat a token
  }
  if (!isRecord(values)) throw bad(file, "is no kubeconfig");
  const current = values["current-context"];
  return { file, values, current: typeof current === "string" ? current : "" };
}

function find(configs: readonly Config[], list: string, field: string, name: string): Part {
  for (const { file, values } of configs) {
    const entries = values[list];
    if (!Array.isArray(entries)) continue;
    const found: unknown = entries.find((entry) => isRecord(entry) && entry.name === name);
    if (isRecord(found)) return { file, values: isRecord(found[field]) ? found[field] : {} };
  }
  throw bad(configs[0].file, `has no ${field} named ${JSON.stringify(name.slice(0, 128))}`);
}

function serverOf(cluster: Part): { host: string; port: number; plain: boolean; basePath: string } {
  let url: URL;
  try {
    url = new URL(textOf(cluster, "server"));
  } catch {
    throw bad(cluster.file, "has a cluster whose server is no url");
  }
  const plain = url.protocol === "http:";
  if ((!plain && url.protocol !== "https:") || url.username !== "" || url.password !== "" || url.search !== "")
    throw bad(cluster.file, "has a cluster whose server is not https://HOST:PORT");
  const port = url.port === "" ? (plain ? 80 : 443) : Number(url.port);
  return { host: url.hostname.replace(/^\[(.*)\]$/, "$1"), port, plain, basePath: url.pathname.replace(/\/+$/, "") };
}

/** `data` wins over `file`, as with kubectl. */
function secretOf(part: Part, data: string, file: string, base64: boolean): Secret | null {
  const text = textOf(part, data);
  if (text !== "") return { text: base64 ? Buffer.from(text, "base64").toString("utf8") : text };
  const path = textOf(part, file);
  return path === "" ? null : { file: resolve(dirname(part.file), path) };
}

function textOf({ file, values }: Part, field: string): string {
  const value = values[field] ?? "";
  if (typeof value !== "string") throw bad(file, `has ${field} that is no text`);
  return value;
}

function isSet({ values }: Part, field: string): boolean {
  const value = values[field];
  return value !== undefined && value !== null && value !== "" && value !== false;
}

function bad(file: string, what: string): WeftError {
  return new WeftError("invalid_argument", `the kubeconfig ${file} ${what}`, {
    reason: "BAD_KUBECONFIG",
    place: { file },
  });
}

const UNUSABLE_OF_CLUSTER = [
  ["insecure-skip-tls-verify", "which would believe whoever answers: give certificate-authority"],
  ["proxy-url", "which is not supported: run `kubectl proxy`, and name http://127.0.0.1:8001 as the server"],
] as const;
const UNUSABLE_OF_USER = [
  ["exec", "whose plugins are not run: write a token with `kubectl create token`, and name its file in tokenFile"],
  [
    "auth-provider",
    "which is not supported: write a token with `kubectl create token`, and name its file in tokenFile",
  ],
  ["username", "which Kubernetes does not take any more: use a token or a client certificate"],
  ["as", "which is not supported: use a token of that user"],
] as const;
const MAX_FILE = 1_048_576;
