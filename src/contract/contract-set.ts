import { WeftError } from "../core/errors.ts";
import { type HttpBinding, httpBindings } from "./http-rule.ts";
import {
  create,
  createFileRegistry,
  type DescFile,
  type DescMethod,
  type DescService,
  FileDescriptorSetSchema,
  type FileRegistry,
  fromBinary,
  MethodOptions_IdempotencyLevel,
  toBinary,
} from "./runtime.ts";

/** What a contract says about one method, ready for tables and routers. */
export interface ContractMethod {
  /** "/counter.v1.Counter/Count" */
  readonly path: string;
  readonly desc: DescMethod;
  /** Marked NO_SIDE_EFFECTS or IDEMPOTENT: it may be sent twice. */
  readonly idempotent: boolean;
  readonly clientStreaming: boolean;
  readonly serverStreaming: boolean;
  /** Empty when the method has no google.api.http rule. */
  readonly bindings: readonly HttpBinding[];
}

/** The contracts of one process or one registered service. Immutable. */
export interface ContractSet {
  readonly services: readonly DescService[];
  /** By path. */
  readonly methods: ReadonlyMap<string, ContractMethod>;
  /** Every file, those that are only imported among them: for reflection and Any. */
  readonly registry: FileRegistry;
}

/** From generated descriptors. Throws invalid_argument (BAD_HTTP_RULE) when a rule does not fit its method. */
export function contractSet(services: readonly DescService[]): ContractSet {
  const files = filesOf(services);
  return {
    services,
    methods: methodsOf(services),
    registry: createFileRegistry(fileDescriptorSet(files)),
  };
}

/**
 * From a serialised google.protobuf.FileDescriptorSet, as a service registered it. `names` picks services by full name; default: all.
 * Throws invalid_argument: BAD_DESCRIPTORS when it does not decode or lacks a file or a service, BAD_HTTP_RULE.
 */
export function parseContractSet(descriptors: Uint8Array, names?: readonly string[]): ContractSet {
  let registry: FileRegistry;
  try {
    registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptors));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new WeftError("invalid_argument", `the descriptors are not a complete FileDescriptorSet: ${why}`, {
      reason: "BAD_DESCRIPTORS",
      cause,
    });
  }
  const services: DescService[] = [];
  if (names === undefined) for (const file of registry.files) services.push(...file.services);
  for (const name of names ?? []) {
    const service = registry.getService(name);
    if (service !== undefined) services.push(service);
    else
      throw new WeftError("invalid_argument", `the descriptors do not declare service ${name}`, {
        reason: "BAD_DESCRIPTORS",
        place: { field: name },
      });
  }
  return { services, methods: methodsOf(services), registry };
}

/** The files that declare these services and everything that they import, dependencies first, serialised for registration. */
export function descriptorSetOf(services: readonly DescService[]): Uint8Array {
  return toBinary(FileDescriptorSetSchema, fileDescriptorSet(filesOf(services)));
}

/** The methods of one service, in their order in the contract. */
export function contractMethods(service: DescService): ContractMethod[] {
  return service.methods.map((desc) => ({
    path: methodPath(desc),
    desc,
    idempotent: desc.idempotency !== MethodOptions_IdempotencyLevel.IDEMPOTENCY_UNKNOWN,
    clientStreaming: desc.methodKind === "client_streaming" || desc.methodKind === "bidi_streaming",
    serverStreaming: desc.methodKind === "server_streaming" || desc.methodKind === "bidi_streaming",
    bindings: httpBindings(desc),
  }));
}

/** "/counter.v1.Counter/Count" */
export function methodPath(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** Dependencies before what needs them. */
function filesOf(services: readonly DescService[]): DescFile[] {
  const files = new Map<string, DescFile>();
  const add = (file: DescFile) => {
    if (files.has(file.name)) return;
    file.dependencies.forEach(add);
    files.set(file.name, file);
  };
  for (const service of services) add(service.file);
  return [...files.values()];
}

function fileDescriptorSet(files: readonly DescFile[]) {
  return create(FileDescriptorSetSchema, { file: files.map(({ proto }) => proto) });
}

function methodsOf(services: readonly DescService[]): Map<string, ContractMethod> {
  return new Map(services.flatMap(contractMethods).map((method) => [method.path, method]));
}
