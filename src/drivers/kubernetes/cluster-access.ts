import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { WeftError } from "../../core/errors.ts";
import { readKubeconfig } from "./kubeconfig.ts";
import type { KubernetesUrl } from "./kubernetes-url.ts";

/** An API server, and by what one is let in there. */
export interface ClusterAccess {
  readonly host: string;
  readonly port: number;
  /** What all paths begin with: "" or "/k8s/clusters/c-1". */
  readonly basePath: string;
  /** Null: plain text, which only a proxy on this machine may speak (`kubectl proxy`). */
  readonly tls: ClusterTls | null;
  readonly token: Secret | null;
  readonly namespace: string;
}

export interface ClusterTls {
  /** Null: the machine's authorities. */
  readonly ca: Secret | null;
  readonly cert: Secret | null;
  readonly key: Secret | null;
  readonly serverName: string;
}

/** Text, or the file that holds it, which may be written anew at any time (a service account's token is, about once an hour). */
export type Secret = { readonly text: string } | { readonly file: string };

/**
 * Where the API server is: at the url's address; or by its kubeconfig, KUBECONFIG, the service account of this pod, ~/.kube/config, in that order. Throws `invalid_argument` for what
 * cannot be used, and says what to write when nothing is found.
 */
export function findCluster(url: KubernetesUrl, environment: NodeJS.ProcessEnv = process.env): ClusterAccess {
  const { address, namespace } = url;
  if (address !== null) {
    const { ca, cert, key, serverName, tokenFile } = url;
    return {
      ...address,
      basePath: "",
      tls: { ca: fileOf(ca), cert: fileOf(cert), key: fileOf(key), serverName },
      token: fileOf(tokenFile),
      namespace: namespace === "" ? "default" : namespace,
    };
  }
  if (url.kubeconfig !== "") return readKubeconfig([url.kubeconfig], url.context, namespace);
  const listed = (environment.KUBECONFIG ?? "").split(":").filter((file) => file !== "");
  if (listed.length > 0) return readKubeconfig(listed, url.context, namespace);
  const host = environment.KUBERNETES_SERVICE_HOST ?? "";
  if (host !== "" && url.context === "") return podAccess(host, environment, namespace);
  const usual = join(environment.HOME ?? homedir(), ".kube", "config");
  if (isReadable(usual)) return readKubeconfig([usual], url.context, namespace);
  throw new WeftError(
    "invalid_argument",
    "no Kubernetes is known: this process runs in no pod, and there is no KUBECONFIG; write kubernetes://HOST:6443/NAMESPACE?token-file=FILE&ca=FILE",
    { reason: "NO_CLUSTER" },
  );
}

/** Reads it now. Throws `invalid_argument` that names the file, and never what is in it. */
export function readSecret(secret: Secret, what: string): string {
  if ("text" in secret) return secret.text;
  try {
    return readFileSync(secret.file, "utf8");
  } catch (thrown) {
    const why = (thrown as NodeJS.ErrnoException).code ?? "unreadable";
    const text = `${what} for Kubernetes, ${secret.file}, cannot be read (${why})`;
    throw new WeftError("invalid_argument", text, { reason: "BAD_CREDENTIALS" });
  }
}

/** By what each pod with a service account finds in its file system. */
function podAccess(host: string, environment: NodeJS.ProcessEnv, namespace: string): ClusterAccess {
  const port = Number(environment.KUBERNETES_SERVICE_PORT_HTTPS ?? environment.KUBERNETES_SERVICE_PORT ?? "443");
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new WeftError("invalid_argument", "KUBERNETES_SERVICE_PORT is no port", { reason: "NO_CLUSTER" });
  const own = namespace === "" ? readSecret({ file: join(SERVICE_ACCOUNT, "namespace") }, "the namespace") : namespace;
  return {
    host: host.replace(/^\[(.*)\]$/, "$1"),
    port,
    basePath: "",
    tls: { ca: { file: join(SERVICE_ACCOUNT, "ca.crt") }, cert: null, key: null, serverName: "" },
    token: { file: join(SERVICE_ACCOUNT, "token") },
    namespace: own.trim(),
  };
}

function fileOf(file: string): Secret | null {
  return file === "" ? null : { file };
}

function isReadable(file: string): boolean {
  try {
    readFileSync(file);
    return true;
  } catch {
    return false;
  }
}

const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
