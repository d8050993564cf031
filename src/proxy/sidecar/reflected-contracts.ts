import { createDirectClient } from "../../call/direct.ts";
import { parseContractSet } from "../../contract/contract-set.ts";
import { ServerReflection } from "../../contract/gen/grpc/reflection/v1/reflection.ts";
import { ServerReflection as ServerReflectionAlpha } from "../../contract/gen/grpc/reflection/v1alpha/reflection.ts";
import {
  create,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  fromBinary,
  toBinary,
} from "../../contract/runtime.ts";
import { WeftError } from "../../core/errors.ts";

/** What an application serves, as its registration says it. */
export interface ReflectedContracts {
  /** Full names of its gRPC services, without those that every server has (health, reflection). */
  readonly contracts: readonly string[];
  /** A serialised google.protobuf.FileDescriptorSet with every file that they need. */
  readonly descriptors: Uint8Array;
}

/** Asks an application for its contracts by gRPC reflection, v1 or v1alpha. Null: it serves none, or nothing but what every server has. */
export async function reflectContracts(address: string): Promise<ReflectedContracts | null> {
  for (const version of [ServerReflection, ServerReflectionAlpha]) {
    try {
      return await reflectBy(version as typeof ServerReflection, address);
    } catch (thrown) {
      if (!(thrown instanceof WeftError) || thrown.code !== "unimplemented") throw thrown;
    }
  }
  return null;
}

type Question =
  | { case: "listServices"; value: string }
  | { case: "fileContainingSymbol"; value: string }
  | { case: "fileByFilename"; value: string };

/** v1 and v1alpha differ in their package alone. */
async function reflectBy(version: typeof ServerReflection, address: string): Promise<ReflectedContracts | null> {
  const { client, close } = createDirectClient(version, address);
  const files = new Map<string, FileDescriptorProto>();
  const ask = async (question: Question): Promise<readonly string[]> => {
    const answers = client.serverReflectionInfo([{ messageRequest: question }], { timeoutMs: TIMEOUT_MS });
    for await (const { messageResponse } of answers) {
      if (messageResponse.case === "listServicesResponse") return messageResponse.value.service.map(({ name }) => name);
      if (messageResponse.case === "errorResponse")
        throw new WeftError("not_found", `reflection of ${question.value}: ${messageResponse.value.errorMessage}`, {
          reason: "NOT_REFLECTED",
        });
      if (messageResponse.case !== "fileDescriptorResponse") continue;
      for (const bytes of messageResponse.value.fileDescriptorProto) {
        const file = fromBinary(FileDescriptorProtoSchema, bytes);
        files.set(file.name, file);
      }
      return [];
    }
    return [];
  };
  try {
    const listed = await ask({ case: "listServices", value: "" });
    const contracts = listed.filter((name) => !OF_EVERY_SERVER.test(name)).sort();
    if (contracts.length === 0) return null;
    for (const symbol of contracts) await ask({ case: "fileContainingSymbol", value: symbol });
    const asked = new Set<string>();
    for (let missing = missingIn(files, asked); missing.length > 0; missing = missingIn(files, asked)) {
      if (files.size + missing.length > MAX_FILES)
        throw new WeftError("resource_exhausted", `reflection tells of more than ${MAX_FILES} files`, {
          reason: "TOO_MANY_FILES",
        });
      for (const name of missing) {
        asked.add(name);
        await ask({ case: "fileByFilename", value: name });
      }
    }
    const set = create(FileDescriptorSetSchema, { file: importedFirst(files) });
    const descriptors = toBinary(FileDescriptorSetSchema, set);
    parseContractSet(descriptors, contracts);
    return { contracts, descriptors };
  } finally {
    await close();
  }
}

function missingIn(files: ReadonlyMap<string, FileDescriptorProto>, asked: ReadonlySet<string>): string[] {
  const missing = new Set<string>();
  for (const { dependency } of files.values())
    for (const name of dependency) if (!files.has(name) && !asked.has(name)) missing.add(name);
  return [...missing];
}

/** Readers want a file after what it imports. */
function importedFirst(files: ReadonlyMap<string, FileDescriptorProto>): FileDescriptorProto[] {
  const sorted = new Set<FileDescriptorProto>();
  const visiting = new Set<string>();
  const visit = (file: FileDescriptorProto): void => {
    if (sorted.has(file) || visiting.has(file.name)) return;
    visiting.add(file.name);
    for (const name of file.dependency) {
      const imported = files.get(name);
      if (imported !== undefined) visit(imported);
    }
    sorted.add(file);
  };
  for (const file of files.values()) visit(file);
  return [...sorted];
}

const OF_EVERY_SERVER = /^grpc\.(?:health|reflection|channelz)\./;
const TIMEOUT_MS = 5_000;
const MAX_FILES = 1_000;
