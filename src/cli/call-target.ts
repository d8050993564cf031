import { createCarrier } from "../call/carrier.ts";
import type { ClientOptions } from "../call/client-types.ts";
import { createDirectCarrier, createDirectClient } from "../call/direct.ts";
import { type ContractSet, parseContractSet } from "../contract/contract-set.ts";
import { ServerReflection } from "../contract/gen/grpc/reflection/v1/reflection.ts";
import { Admin } from "../contract/gen/weft/control/v1/control.ts";
import {
  create,
  type DescMethod,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  fromBinary,
  toBinary,
} from "../contract/runtime.ts";
import { WeftError } from "../core/errors.ts";
import { systemRandom } from "../core/random.ts";
import { didYouMean } from "../core/suggest.ts";
import { createLink } from "../link/link.ts";
import { createUpstreamPool } from "../net/pool.ts";
import { createPolicyRuntime } from "../policy/snapshot/create-runtime.ts";
import { controlClient, toolSecurity } from "./control-client.ts";
import { usage } from "./exit-status.ts";

/** A method to call, with its contract and the way to whoever serves it. */
export interface CallTarget {
  readonly method: DescMethod;
  readonly contract: ContractSet;
  readonly options: Pick<ClientOptions, "carrier" | "service" | "authority">;
  close(): Promise<void>;
}

/** Splits "counter.v1.Counter/Count"; "/counter.v1.Counter/Count" and "counter.v1.Counter.Count" are understood too. */
export function parseMethodName(text: string): { service: string; method: string } {
  const match = /^\/?([A-Za-z_][\w.]*)[/.]([A-Za-z_]\w*)$/.exec(text);
  if (match !== null) return { service: match[1], method: match[2] };
  throw usage(`"${text}" names no method; write it as package.Service/Method, for example counter.v1.Counter/Count`);
}

/** Finds a method through the control plane; the call goes under policy, with every decision recorded. Rejects `not_found` with the nearest name. */
export async function targetByControl(address: string, name: string): Promise<CallTarget> {
  const wanted = parseMethodName(name);
  const admin = await controlClient(Admin, address);
  const { contracts } = await admin.client
    .listContracts({})
    .catch((cause: WeftError) => {
      const text = `the control plane at ${address} cannot be asked: ${cause.message}`;
      throw new WeftError(cause.code, text, { reason: "NO_CONTROL_PLANE", cause });
    })
    .finally(() => admin.close());
  const serving = contracts.find((contract) => contract.contracts.includes(wanted.service));
  if (serving === undefined)
    throw noService(
      wanted.service,
      contracts.flatMap((contract) => contract.contracts),
    );
  const contract = parseContractSet(serving.descriptors, serving.contracts);
  const method = methodOf(contract, wanted);

  const policy = createPolicyRuntime({ random: systemRandom, record: "all" });
  const link = createLink({ address, policy, process: "weft-call", control: await toolSecurity(address) });
  const pool = createUpstreamPool({});
  const close = async (): Promise<void> => {
    await pool.close(0);
    await link.close();
  };
  try {
    await link.subscribe(wanted.service);
  } catch (error) {
    await close();
    throw error;
  }
  return { method, contract, options: { carrier: createCarrier({ policy, pool }), service: wanted.service }, close };
}

/** Finds a method by gRPC reflection of the server at an address, which is called directly. */
export async function targetByAddress(address: string, name: string): Promise<CallTarget> {
  const wanted = parseMethodName(name);
  const direct = createDirectCarrier(address);
  const { carrier, service, authority } = direct;
  try {
    const contract = await reflect(address, wanted.service);
    return {
      method: methodOf(contract, wanted),
      contract,
      options: { carrier, service, authority },
      close: () => direct.close(),
    };
  } catch (error) {
    await direct.close();
    throw error;
  }
}

/** Asks for the file of a service, then for what it imports, until nothing is missing. */
async function reflect(address: string, service: string): Promise<ContractSet> {
  const { client, close } = createDirectClient(ServerReflection, address);
  const files = new Map<string, FileDescriptorProto>();
  const asked = new Set<string>();

  async function ask(request: {
    case: "fileContainingSymbol" | "fileByFilename" | "listServices";
    value: string;
  }): Promise<readonly string[]> {
    for await (const { messageResponse } of client.serverReflectionInfo([{ messageRequest: request }], {
      timeoutMs: REFLECTION_TIMEOUT_MS,
    })) {
      if (messageResponse.case === "fileDescriptorResponse") {
        for (const bytes of messageResponse.value.fileDescriptorProto) {
          const file = fromBinary(FileDescriptorProtoSchema, bytes);
          files.set(file.name, file);
        }
      } else if (messageResponse.case === "listServicesResponse")
        return messageResponse.value.service.map((entry) => entry.name);
      else if (messageResponse.case === "errorResponse")
        throw new WeftError("not_found", messageResponse.value.errorMessage, { reason: "NOT_REFLECTED" });
    }
    return [];
  }

  try {
    try {
      await ask({ case: "fileContainingSymbol", value: service });
    } catch (error) {
      if (!(error instanceof WeftError)) throw error;
      if (error.code === "unimplemented") {
        throw new WeftError(
          "unimplemented",
          `the server at ${address} has no gRPC reflection, which tells its contract`,
          { reason: "NO_REFLECTION", cause: error },
        );
      }
      if (error.reason === "NOT_REFLECTED") throw noService(service, await ask({ case: "listServices", value: "" }));
      throw error;
    }
    for (;;) {
      const missing = [...files.values()]
        .flatMap((file) => file.dependency)
        .find((name) => !files.has(name) && !asked.has(name));
      if (missing === undefined) break;
      asked.add(missing);
      await ask({ case: "fileByFilename", value: missing });
    }
    return parseContractSet(
      toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file: inOrder(files) })),
      [service],
    );
  } finally {
    await close();
  }
}

/** Dependencies before what needs them. */
function inOrder(files: ReadonlyMap<string, FileDescriptorProto>): FileDescriptorProto[] {
  const ordered = new Map<string, FileDescriptorProto>();
  const visit = (file: FileDescriptorProto | undefined): void => {
    if (file === undefined || ordered.has(file.name)) return;
    for (const name of file.dependency) visit(files.get(name));
    ordered.set(file.name, file);
  };
  for (const file of files.values()) visit(file);
  return [...ordered.values()];
}

const REFLECTION_TIMEOUT_MS = 5_000;

function methodOf(contract: ContractSet, { service, method }: { service: string; method: string }): DescMethod {
  const found = contract.methods.get(`/${service}/${method}`);
  if (found !== undefined) return found.desc;
  const names = [...contract.methods.values()]
    .filter(({ desc }) => desc.parent.typeName === service)
    .map(({ desc }) => desc.name);
  throw new WeftError(
    "not_found",
    `${service} has no method "${method}"${didYouMean(method, names) || `; it has ${names.join(", ")}`}`,
    { reason: "NO_SUCH_METHOD" },
  );
}

function noService(name: string, known: readonly string[]): WeftError {
  const own = known.filter((candidate) => !candidate.startsWith("grpc."));
  const hint = didYouMean(name, own) || (own.length === 0 ? "; none is registered" : `; there are ${own.join(", ")}`);
  return new WeftError("not_found", `nobody serves "${name}"${hint}`, { reason: "NO_SUCH_SERVICE" });
}
