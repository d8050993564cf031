import { create, CodeGeneratorRequestSchema, CodeGeneratorResponseSchema, fromBinary, toBinary } from "../../contract/runtime.ts";
import { WeftError } from "../../core/errors.ts";
import type { Compiled } from "./compile.ts";
import { runTool } from "./tools.ts";

/** Runs protoc-gen-es over the project's own files, by the protocol that protoc speaks with its plugins. */
export async function runPlugin(compiled: Compiled, cwd: string): Promise<{ name: string; content: string }[]> {
  const request = create(CodeGeneratorRequestSchema, {
    fileToGenerate: [...compiled.own],
    // Strip-only TypeScript, so that Node runs it as it is; extensions for the same reason.
    parameter: "target=ts,erasable_syntax=true,import_extension=ts",
    protoFile: compiled.descriptors.file,
    sourceFileDescriptors: compiled.descriptors.file.filter((file) => compiled.own.includes(file.name)),
  });
  const result = await runTool("@bufbuild/protoc-gen-es", "protoc-gen-es", [], { cwd, input: toBinary(CodeGeneratorRequestSchema, request) });
  const failed = (text: string) => new WeftError("internal", `protoc-gen-es failed: ${text}`, { reason: "TOOL_FAILED" });
  if (result.status !== 0) throw failed(result.stderr.trim());
  const response = fromBinary(CodeGeneratorResponseSchema, result.stdout);
  if (response.error !== "") throw failed(response.error);
  return response.file.map(({ name, content }) => ({ name, content }));
}
