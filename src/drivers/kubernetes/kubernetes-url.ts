import { WeftError } from "../../core/errors.ts";

/** What a url says of an API server; "" for what it does not say. */
export interface KubernetesUrl {
  /** Null: the cluster that this process runs in, or KUBECONFIG's. */
  readonly address: { readonly host: string; readonly port: number } | null;
  readonly namespace: string;
  readonly tokenFile: string;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly serverName: string;
  readonly kubeconfig: string;
  readonly context: string;
}

/**
 * "kubernetes://HOST:6443/NAMESPACE?token-file=FILE&ca=FILE", or "kubernetes:///NAMESPACE" for the cluster that this process runs in, or the one that a kubeconfig names (`kubeconfig`, `context`). Further
 * parameters are `cert` and `key` (PEM files) and `serverName`. Throws `invalid_argument`, which never repeats the url.
 */
export function parseKubernetesUrl(url: string): KubernetesUrl {
  const match = /^kubernetes:\/\/([^@/?#]*)(\/[^?#]*)?(?:\?([^#]*))?$/.exec(url);
  if (match === null || url.length > MAX_URL) throw bad(`it looks like ${LOOKS}; a token belongs into a file`);
  const [, where, path = "", query = ""] = match;
  const namespace = path.replace(/^\//, "").replace(/\/$/, "");
  if (namespace !== "" && !isNamespace(namespace))
    throw bad("after the address belongs the namespace: lower-case letters, digits and inner hyphens, at most 63");
  const parameters = parametersOf(query);
  const address = where === "" ? null : addressOf(where);
  if ((parameters.cert === "") !== (parameters.key === "")) throw bad("cert and key belong together");
  if (address !== null && (parameters.kubeconfig !== "" || parameters.context !== ""))
    throw bad("an address and a kubeconfig exclude each other: leave one of them out");
  const { tokenFile, ca, cert, serverName } = parameters;
  if (address === null && [tokenFile, ca, cert, serverName].some((value) => value !== ""))
    throw bad("token-file, ca, cert, key and serverName belong to an address: write HOST:PORT, or a kubeconfig");
  return { address, namespace, ...parameters };
}

/** RFC 1123 label. */
export function isNamespace(text: string): boolean {
  return /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(text);
}

function addressOf(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text);
  const port = Number(match?.[3] ?? "6443");
  if (match === null || port < 1 || port > 65_535) throw bad("the address is HOST, HOST:PORT or [IPV6]:PORT");
  return { host: match[1] ?? match[2], port };
}

function parametersOf(query: string) {
  const found = { tokenFile: "", ca: "", cert: "", key: "", serverName: "", kubeconfig: "", context: "" };
  for (const [name, value] of new URLSearchParams(query)) {
    const field = name === "token-file" ? "tokenFile" : name;
    if (name === "tokenFile" || !Object.hasOwn(found, field))
      throw bad("its parameters are token-file, ca, cert, key, serverName, kubeconfig and context");
    if (value === "") throw bad(`${name} is empty`);
    found[field as keyof typeof found] = value;
  }
  return found;
}

function bad(what: string): WeftError {
  return new WeftError("invalid_argument", `the url of Kubernetes cannot be used: ${what}`, { reason: "BAD_ADDRESS" });
}

const LOOKS =
  '"kubernetes:///NAMESPACE" in a cluster or by KUBECONFIG, or "kubernetes://10.0.0.1:6443/NAMESPACE?token-file=token&ca=ca.pem"';
const MAX_URL = 4_096;
