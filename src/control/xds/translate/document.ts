/**
 * A message of Envoy's API in its JSON form, with the field names of the proto files: what people read in Envoy's documentation, what `envoy --mode validate` takes, and
 * what encode.ts turns into bytes once, with every name checked against proto/envoy.
 */
export type Document = Readonly<Record<string, unknown>>;

/** A google.protobuf.Any. */
export function typed(type: string, value: Document = {}): Document {
  return { "@type": `type.googleapis.com/${type}`, ...value };
}

/** A core.v3.TypedExtensionConfig, or anything else of a name and a configuration. */
export function extension(name: string, type: string, value: Document = {}): Document {
  return { name, typed_config: typed(type, value) };
}

/** Without the fields that are undefined. */
export function compact(document: Readonly<Record<string, unknown>>): Document {
  const kept: Record<string, unknown> = {};
  for (const name in document) if (document[name] !== undefined) kept[name] = document[name];
  return kept;
}

/** "0.025s"; unlimited is "0s", which is how Envoy switches a time-out off. */
export function seconds(ms: number): string {
  if (ms === Number.POSITIVE_INFINITY) return "0s";
  return `${(Math.round(ms * 1_000) / 1_000_000).toFixed(6).replace(/\.?0+$/, "")}s`;
}

/** A type.v3.FractionalPercent of 0 to 100. */
export function fractionOf(percent: number): Document {
  return { numerator: Math.round(Math.min(100, Math.max(0, percent)) * 10_000), denominator: "MILLION" };
}

/** A core.v3.RuntimeFractionalPercent. */
export function runtimeFraction(percent: number): Document {
  return { default_value: fractionOf(percent) };
}

/** Text as a regular expression that matches it alone. */
export function quoted(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

/** Text where Envoy would read "%...%" as a command. */
export function literal(text: string): string {
  return text.replaceAll("%", "%%");
}

export const UNLIMITED = 4_294_967_295;
