/** What the configuration centre holds at most, so that a revision stays small enough to be sent and kept whole. Documented in docs/settings.md. */
export const settingsLimits = {
  maxNamespaces: 1_000,
  /** In one namespace. */
  maxKeys: 1_000,
  /** One value as JSON; of a sealed one what it is sealed as. */
  maxValueBytes: 65_536,
  /** Nesting of a value. */
  maxDepth: 64,
  /** A namespace with its schema and gray releases, as JSON. */
  maxNamespaceBytes: 524_288,
  /** All of them together. */
  maxBytes: 2_097_152,
  maxSchemaBytes: 65_536,
  /** In one namespace at once. */
  maxGrays: 16,
  /** Instances, zones, labels or tags of one gray release. */
  maxSelected: 1_000,
  /** In one publication. */
  maxChanges: 1_000,
} as const;

const KEY = /^[A-Za-z][A-Za-z0-9._-]{0,127}$/;
const NAMESPACE = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** What is wrong with a key, for people; "" for nothing. */
export function keyProblem(key: string): string {
  return KEY.test(key) ? "" : "a key is 1 to 128 of letters, digits and . _ -, beginning with a letter";
}

/** The same of a namespace: a DNS label, as services have. */
export function namespaceProblem(namespace: string): string {
  return NAMESPACE.test(namespace)
    ? ""
    : "a namespace is a DNS label: lower-case letters, digits and inner hyphens, at most 63 characters";
}
