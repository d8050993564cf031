import { contractSet } from "../contract/contract-set.ts";
import { ServerReflection, type ServerReflectionRequest } from "../contract/gen/grpc/reflection/v1/reflection.ts";
import { ServerReflection as ServerReflectionAlpha } from "../contract/gen/grpc/reflection/v1alpha/reflection.ts";
import {
  type DescFile,
  type DescService,
  FileDescriptorProtoSchema,
  type FileRegistry,
  toBinary,
} from "../contract/runtime.ts";
import { codeNumber } from "../core/errors.ts";
import { type AnyServiceDefinition, service } from "./definition.ts";
import type { Implementation } from "./implementation.ts";

/**
 * gRPC server reflection, v1 and v1alpha (their messages are the same on the wire and here): by it grpcurl and others learn the contracts of `services`.
 */
export function createReflectionServices(services: readonly DescService[]): AnyServiceDefinition[] {
  const all = [...services, ServerReflection, ServerReflectionAlpha];
  const { registry } = contractSet(all);
  const names = all.map(({ typeName }) => typeName).sort();
  const implementation: Implementation<typeof ServerReflection> = {
    async *serverReflectionInfo(requests) {
      /** Files that this stream has been given: each goes out once. */
      const sent = new Set<string>();
      for await (const request of requests) {
        yield {
          validHost: request.host,
          originalRequest: request,
          messageResponse: answer(registry, names, sent, request.messageRequest),
        };
      }
    },
  };
  return [
    service(ServerReflection, implementation),
    service(ServerReflectionAlpha, implementation as Implementation<typeof ServerReflectionAlpha>),
  ];
}

function answer(
  registry: FileRegistry,
  names: readonly string[],
  sent: Set<string>,
  request: ServerReflectionRequest["messageRequest"],
) {
  switch (request.case) {
    case "listServices":
      return { case: "listServicesResponse" as const, value: { service: names.map((name) => ({ name })) } };
    case "fileByFilename":
      return files(registry.getFile(request.value), sent, `file "${request.value}"`);
    case "fileContainingSymbol":
      return files(fileOfSymbol(registry, request.value), sent, `symbol "${request.value}"`);
    case "fileContainingExtension": {
      const { containingType, extensionNumber } = request.value;
      const extendee = registry.getMessage(containingType);
      const extension = extendee && registry.getExtensionFor(extendee, extensionNumber);
      return files(extension?.file, sent, `extension ${extensionNumber} of "${containingType}"`);
    }
    case "allExtensionNumbersOfType": {
      if (registry.getMessage(request.value) === undefined) return notFound(`message "${request.value}"`);
      const extensionNumber: number[] = [];
      for (const type of registry)
        if (type.kind === "extension" && type.extendee.typeName === request.value) extensionNumber.push(type.number);
      return { case: "allExtensionNumbersResponse" as const, value: { baseTypeName: request.value, extensionNumber } };
    }
    default:
      return {
        case: "errorResponse" as const,
        value: { errorCode: codeNumber("invalid_argument"), errorMessage: "the request asks for nothing" },
      };
  }
}

/** The file that declares a type, a service, a method, a field or an enum value, by full name. */
function fileOfSymbol(registry: FileRegistry, symbol: string): DescFile | undefined {
  const name = symbol.replace(/^\./, "");
  const found = registry.get(name);
  if (found !== undefined) return found.file;
  const dot = name.lastIndexOf(".");
  const parent = dot < 0 ? undefined : registry.get(name.slice(0, dot));
  const member = name.slice(dot + 1);
  if (parent?.kind === "service" && parent.methods.some((method) => method.name === member)) return parent.file;
  if (
    parent?.kind === "message" &&
    (parent.fields.some((field) => field.name === member) || parent.oneofs.some((oneof) => oneof.name === member))
  )
    return parent.file;
  if (parent?.kind === "enum" && parent.values.some((value) => value.name === member)) return parent.file;
  return undefined;
}

/** A file and what it imports, without what the stream was given before; the file itself always. */
function files(file: DescFile | undefined, sent: Set<string>, what: string) {
  if (file === undefined) return notFound(what);
  const fileDescriptorProto: Uint8Array[] = [];
  const add = (each: DescFile, asked: boolean): void => {
    if (sent.has(each.name) && !asked) return;
    sent.add(each.name);
    fileDescriptorProto.push(toBinary(FileDescriptorProtoSchema, each.proto));
    for (const dependency of each.dependencies) add(dependency, false);
  };
  add(file, true);
  return { case: "fileDescriptorResponse" as const, value: { fileDescriptorProto } };
}

function notFound(what: string) {
  return {
    case: "errorResponse" as const,
    value: { errorCode: codeNumber("not_found"), errorMessage: `${what} is not known here` },
  };
}
