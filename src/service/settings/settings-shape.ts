import type { DescMessage } from "@bufbuild/protobuf";
import { messageFromJson, messageToJson } from "../../contract/json.ts";
import { toWeftError, WeftError } from "../../core/errors.ts";
import type { Json } from "../../settings/settings-state.ts";
import { formatIssue, isStandardSchema, jsonSchemaOf } from "./standard-schema.ts";

/** How values of a namespace become what the process uses. */
export interface SettingsShape {
  /** For the control plane: a JSON Schema, the name of a message, or "". */
  readonly schema: string;
  readonly message: string;
  /** What the process uses, an object; or what is wrong, a line each. */
  check(
    values: Readonly<Record<string, Json>>,
  ): Promise<{ readonly value: object } | { readonly problems: readonly string[] }>;
  /** What of it is written as JSON. */
  toJson(value: object): unknown;
}

/** Of a Standard Schema, a message of Protocol Buffers, or a JSON Schema. Rejects `invalid_argument` for what is none. */
export async function shapeOf(schema: unknown): Promise<SettingsShape> {
  if (isStandardSchema(schema)) {
    return {
      schema: jsonSchemaOf(schema),
      message: "",
      toJson: asItIs,
      async check(values) {
        const result = await schema["~standard"].validate(values);
        if (result.issues !== undefined) return { problems: result.issues.map(formatIssue) };
        return isObject(result.value)
          ? { value: result.value }
          : { problems: ["what the schema makes of the values is no object"] };
      },
    };
  }
  if (isMessage(schema)) {
    return {
      schema: "",
      message: schema.typeName,
      toJson: (value) => messageToJson(schema, value as never),
      async check(values) {
        try {
          return { value: messageFromJson(schema, values as never) };
        } catch (thrown) {
          return { problems: [toWeftError(thrown).message] };
        }
      },
    };
  }
  if (!isObject(schema))
    throw new WeftError(
      "invalid_argument",
      "settings: the schema must be a Standard Schema (of zod, valibot, arktype), a generated message, or a JSON Schema",
      { reason: "BAD_SCHEMA" },
    );
  const { formatProblem, JsonSchema } = await import("../../settings/json-schema.ts");
  const compiled = new JsonSchema(schema as Json);
  return {
    schema: JSON.stringify(schema),
    message: "",
    toJson: asItIs,
    async check(values) {
      const value = compiled.withDefaults(values);
      const problems = compiled.problems(value);
      return problems.length === 0 ? { value } : { problems: problems.map(formatProblem) };
    },
  };
}

function isMessage(schema: unknown): schema is DescMessage {
  return isObject(schema) && "kind" in schema && schema.kind === "message" && "typeName" in schema;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function asItIs(value: object): unknown {
  return value;
}
