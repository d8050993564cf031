import assert from "node:assert/strict";
import { test } from "node:test";
import { Counter } from "../../examples/counter/gen/counter/v1/counter.ts";
import type { ServerReflection } from "../contract/gen/grpc/reflection/v1/reflection.ts";
import { FileDescriptorProtoSchema, fromBinary, type MessageInitShape } from "../contract/runtime.ts";
import { createReflectionServices } from "./reflection.ts";
import type { TestClient } from "./test-client.ts";

type Request = MessageInitShape<(typeof ServerReflection)["method"]["serverReflectionInfo"]["input"]>;

const [v1, alpha] = createReflectionServices([Counter]);

async function ask(...requests: Request[]) {
  const responses = (v1.call as TestClient<typeof ServerReflection>).serverReflectionInfo(requests);
  return (await Array.fromAsync(responses)).map(({ messageResponse }) => messageResponse);
}

const fileNames = (protos: readonly Uint8Array[]) =>
  protos.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name);

test("both versions are served, and list the services with themselves", async () => {
  assert.equal(alpha.desc.typeName, "grpc.reflection.v1alpha.ServerReflection");
  const [answer] = await ask({ messageRequest: { case: "listServices", value: "" } });
  assert.ok(answer.case === "listServicesResponse");
  assert.deepEqual(
    answer.value.service.map(({ name }) => name),
    ["counter.v1.Counter", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"],
  );
});

test("symbols of every kind lead to their file, with what it imports, each file once a stream", async () => {
  const answers = await ask(
    { messageRequest: { case: "fileContainingSymbol", value: "counter.v1.Counter" } },
    { messageRequest: { case: "fileContainingSymbol", value: "counter.v1.Counter.Count" } },
    { messageRequest: { case: "fileContainingSymbol", value: ".counter.v1.CountRequest.count" } },
    { messageRequest: { case: "fileByFilename", value: "google/protobuf/empty.proto" } },
  );
  const files = answers.map((answer) => {
    assert.ok(answer.case === "fileDescriptorResponse");
    return fileNames(answer.value.fileDescriptorProto);
  });
  assert.equal(files[0][0], "counter/v1/counter.proto");
  assert.ok(files[0].includes("google/api/http.proto"));
  assert.deepEqual(files.slice(1), [
    ["counter/v1/counter.proto"],
    ["counter/v1/counter.proto"],
    ["google/protobuf/empty.proto"],
  ]);
});

test("extensions are found by what they extend", async () => {
  const [numbers, file] = await ask(
    { messageRequest: { case: "allExtensionNumbersOfType", value: "google.protobuf.MethodOptions" } },
    {
      messageRequest: {
        case: "fileContainingExtension",
        value: { containingType: "google.protobuf.MethodOptions", extensionNumber: 72295728 },
      },
    },
  );
  assert.ok(numbers.case === "allExtensionNumbersResponse");
  assert.deepEqual(numbers.value.extensionNumber, [72295728]);
  assert.ok(file.case === "fileDescriptorResponse");
  assert.equal(fileNames(file.value.fileDescriptorProto)[0], "google/api/annotations.proto");
});

test("what is not known is an error in the answer, and the stream goes on", async () => {
  const answers = await ask(
    { messageRequest: { case: "fileContainingSymbol", value: "nobody.Nothing" } },
    { messageRequest: { case: "fileByFilename", value: "no.proto" } },
    {},
    { messageRequest: { case: "listServices", value: "" } },
  );
  assert.deepEqual(
    answers.map((answer) => (answer.case === "errorResponse" ? answer.value.errorCode : answer.case)),
    [5, 5, 3, "listServicesResponse"],
  );
});
