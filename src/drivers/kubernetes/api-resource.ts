/** A kind of objects that the driver keeps. */
export interface ApiResource {
  /** "" is the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  /** Objects in one answer to a list. */
  readonly page: number;
}

/** Where endpoints are. */
export const ENDPOINT_SLICES: ApiResource = {
  group: "discovery.k8s.io",
  version: "v1",
  plural: "endpointslices",
  kind: "EndpointSlice",
  page: 500,
};

/** Where planes show that they live. */
export const LEASES: ApiResource = {
  group: "coordination.k8s.io",
  version: "v1",
  plural: "leases",
  kind: "Lease",
  page: 500,
};

/** Each may hold a MiB. */
export const CONFIG_MAPS: ApiResource = { group: "", version: "v1", plural: "configmaps", kind: "ConfigMap", page: 40 };

/** "/apis/discovery.k8s.io/v1/namespaces/NAMESPACE/endpointslices". */
export function collectionPath({ group, version, plural }: ApiResource, namespace: string): string {
  const root = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
  return `${root}/namespaces/${namespace}/${plural}`;
}

/** "discovery.k8s.io/v1"; of the core group "v1". */
export function apiVersionOf({ group, version }: ApiResource): string {
  return group === "" ? version : `${group}/${version}`;
}

/** What every object says of itself. */
export interface ObjectMeta {
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface ApiObject {
  readonly metadata: ObjectMeta;
  /** All of it, of which nothing is believed yet. */
  readonly content: Readonly<Record<string, unknown>>;
}

/** Throws for what is no object of Kubernetes. */
export function parseObject(value: unknown): ApiObject {
  if (!isRecord(value) || !isRecord(value.metadata)) throw new Error("an object without metadata");
  const { name, uid = "", resourceVersion = "", labels, annotations } = value.metadata;
  if (typeof name !== "string" || typeof uid !== "string" || typeof resourceVersion !== "string")
    throw new Error("metadata that are none");
  return {
    metadata: { name, uid, resourceVersion, labels: textsOf(labels), annotations: textsOf(annotations) },
    content: value,
  };
}

/** Kubernetes' versions of objects are numbers that grow with every change in the cluster (KEP-5504). */
export function versionOf(resourceVersion: string): number {
  if (!/^[1-9]\d{0,14}$/.test(resourceVersion)) throw new Error("resourceVersion is no number");
  return Number(resourceVersion);
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textsOf(value: unknown): Readonly<Record<string, string>> {
  if (!isRecord(value)) return {};
  const texts = Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string");
  return Object.fromEntries(texts);
}
