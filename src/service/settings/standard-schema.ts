/**
 * What validators agree on (zod, valibot, arktype and others). Source: Standard Schema 1, https://standardschema.dev: these are its types, as far as settings need them.
 */
export interface StandardSchema<Output = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined;
    /** Standard JSON Schema: some can say what they take. */
    readonly jsonSchema?:
      | { readonly input: (options: { readonly target: string }) => Record<string, unknown> }
      | undefined;
  };
}

type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] };

interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** Whether it keeps to https://standardschema.dev, version 1. */
export function isStandardSchema(schema: unknown): schema is StandardSchema {
  // Those of arktype are functions.
  if ((typeof schema !== "object" && typeof schema !== "function") || schema === null || !("~standard" in schema))
    return false;
  const standard = schema["~standard"] as Partial<StandardSchema["~standard"]> | undefined;
  return standard?.version === 1 && typeof standard.validate === "function";
}

/** "limits.perMinute: expected number" */
export function formatIssue({ message, path = [] }: StandardIssue): string {
  let at = "";
  for (const part of path) {
    const key = typeof part === "object" ? part.key : part;
    if (typeof key === "number") at += `[${key}]`;
    else at += at === "" ? String(key) : `.${String(key)}`;
  }
  return at === "" ? message : `${at}: ${message}`;
}

/** What it takes as JSON Schema, for the control plane to check by; "" where it cannot say. */
export function jsonSchemaOf(schema: StandardSchema): string {
  try {
    const said = schema["~standard"].jsonSchema?.input({ target: "draft-2020-12" });
    return said === undefined ? "" : (JSON.stringify(said) ?? "");
  } catch {
    return ""; // it has a part that JSON Schema cannot say
  }
}
