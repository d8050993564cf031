import { file_fixtures_v1_types3 } from "../../tests/gen/fixtures/v1/types3.ts";
import { http } from "./gen/google/api/annotations.ts";
import { HttpRuleSchema } from "./gen/google/api/http.ts";
import { file_google_api_httpbody } from "./gen/google/api/httpbody.ts";
import {
  create,
  createFileRegistry,
  type DescFile,
  type DescMethod,
  type DescService,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  type MessageInitShape,
  MethodOptionsSchema,
  setExtension,
} from "./runtime.ts";

export interface MethodSpec {
  name: string;
  rule: MessageInitShape<typeof HttpRuleSchema>;
  /** Types of fixtures.v1 or others, fully qualified with a leading dot. Default: ".fixtures.v1.Types3". */
  input?: string;
  output?: string;
  clientStreaming?: boolean;
  serverStreaming?: boolean;
}

/** A service whose methods have these rules, made without a compiler, so that tests can have wrong ones too. */
export function serviceWith(specs: readonly MethodSpec[], name = "Rules"): DescService {
  const file = create(FileDescriptorProtoSchema, {
    name: `${name}.proto`,
    package: "rules.v1",
    syntax: "proto3",
    dependency: ["fixtures/v1/types3.proto", "google/api/httpbody.proto"],
    service: [
      {
        name,
        method: specs.map((spec) => {
          const options = create(MethodOptionsSchema);
          setExtension(options, http, create(HttpRuleSchema, spec.rule));
          return {
            name: spec.name,
            inputType: spec.input ?? ".fixtures.v1.Types3",
            outputType: spec.output ?? ".fixtures.v1.Types3",
            clientStreaming: spec.clientStreaming ?? false,
            serverStreaming: spec.serverStreaming ?? false,
            options,
          };
        }),
      },
    ],
  });
  const files = new Map<string, FileDescriptorProto>();
  const add = (next: DescFile) => {
    next.dependencies.forEach(add);
    files.set(next.name, next.proto);
  };
  add(file_fixtures_v1_types3);
  add(file_google_api_httpbody);
  const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [...files.values(), file] }));
  return registry.getService(`rules.v1.${name}`) as DescService;
}

export function methodWith(rule: MethodSpec["rule"], more: Partial<MethodSpec> = {}): DescMethod {
  return serviceWith([{ name: "Do", rule, ...more }]).methods[0];
}

/** `get("/v1/x")` is the rule of a GET. */
export function get(path: string): MessageInitShape<typeof HttpRuleSchema> {
  return { pattern: { case: "get", value: path } };
}
