import { DriverUrl } from "../driver-url.ts";

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
 * parameters are `cert` and `key` (PEM files) and `serverName`. Throws `invalid_argument`.
 */
export function parseKubernetesUrl(text: string): KubernetesUrl {
  const url = new DriverUrl(text, { scheme: "kubernetes", vendor: "Kubernetes", looks: LOOKS, parameters: PARAMETERS });
  if (url.login !== null) throw url.bad("a token belongs into a file: token-file=FILE");
  const namespace = url.path.replace(/^\/|\/$/g, "");
  if (namespace !== "" && !isNamespace(namespace))
    throw url.bad("after the address belongs the namespace: lower-case letters, digits and inner hyphens, at most 63");
  const [tokenFile, ca, cert, key, serverName, kubeconfig, context] = PARAMETERS.map(
    (name) => url.parameter(name) ?? "",
  );
  if ((cert === "") !== (key === "")) throw url.bad("cert and key belong together");
  const address = url.hosts === "" ? null : url.addresses(6_443, 1)[0];
  if (address !== null && kubeconfig + context !== "")
    throw url.bad("an address and a kubeconfig exclude each other: leave one of them out");
  if (address === null && tokenFile + ca + cert + serverName !== "")
    throw url.bad("token-file, ca, cert, key and serverName belong to an address: write HOST:PORT, or a kubeconfig");
  return { address, namespace, tokenFile, ca, cert, key, serverName, kubeconfig, context };
}

/** RFC 1123 label. */
export function isNamespace(text: string): boolean {
  return /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(text);
}

const LOOKS =
  '"kubernetes:///NAMESPACE" in a cluster or by KUBECONFIG, or "kubernetes://10.0.0.1:6443/NAMESPACE?token-file=token&ca=ca.pem"';
const PARAMETERS = ["token-file", "ca", "cert", "key", "serverName", "kubeconfig", "context"] as const;
