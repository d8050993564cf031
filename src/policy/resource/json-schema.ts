/** A JSON Schema (draft 2020-12), as far as shapes make them. `false` accepts nothing. */
export type JsonSchema =
  | boolean
  | {
      readonly $ref?: string;
      readonly description?: string;
      readonly type?: string | readonly string[];
      readonly const?: unknown;
      readonly enum?: readonly unknown[];
      readonly pattern?: string;
      readonly maxLength?: number;
      readonly minimum?: number;
      readonly maximum?: number;
      readonly items?: JsonSchema;
      readonly minItems?: number;
      readonly maxItems?: number;
      readonly properties?: Readonly<Record<string, JsonSchema>>;
      readonly required?: readonly string[];
      readonly additionalProperties?: JsonSchema;
      readonly anyOf?: readonly JsonSchema[];
      readonly allOf?: readonly JsonSchema[];
      readonly if?: JsonSchema;
      readonly then?: JsonSchema;
      readonly else?: JsonSchema;
    };
