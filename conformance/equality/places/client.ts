import { createCarrier } from "../../../src/call/carrier.ts";
import { createClient } from "../../../src/call/client.ts";
import type { Metadata } from "../../../src/call/metadata.ts";
import type { Endpoint } from "../../../src/core/endpoint.ts";
import { codeNumber, WeftError } from "../../../src/core/errors.ts";
import { seededRandom } from "../../../src/core/random.ts";
import { createUpstreamPool } from "../../../src/net/pool.ts";
import { createPolicyRuntime } from "../../../src/policy/snapshot/create-runtime.ts";
import { Trial } from "../../gen/weft/test/v1/trial.ts";
import { ID_FIELD } from "../backends.ts";
import { METHODS, unknownAs, withBase } from "../base.ts";
import { bodyOf } from "../bodies.ts";
import { comparedHeaders } from "../headers.ts";
import type { Answer, Place } from "../model.ts";
import { CALL_MS, STREAMED, toldTexts } from "../raw-call.ts";
import { sentHeaders } from "../tokens.ts";

/** A typed client of "rpc" in this process. What it throws is told as the answer that a gRPC caller would have got. */
export function openClient(endpoints: readonly Endpoint[], seed: number): Place {
  const policy = createPolicyRuntime({ random: seededRandom(seed) });
  const pool = createUpstreamPool({});
  const client = createClient(Trial, {
    carrier: createCarrier({ policy, pool }),
    service: "rpc",
    authority: "rpc.weft",
  });
  const unary = { Read: client.read, Replace: client.replace, Remove: client.remove, Mark: client.mark };
  let revision = 0;
  return {
    name: "client",
    planes: ["client"],
    tellsReasons: true,
    takes: (scope, { kind }) => scope === "rpc" && kind === "grpc",
    async apply(scope, resources) {
      revision++;
      const changed = unknownAs(revision, endpoints);
      policy.applyEndpoints({ endpointVersion: revision, full: true, changed, removed: [] });
      policy.applyResources(revision, withBase(scope, resources), METHODS);
    },
    async call(_scope, asked, id): Promise<Answer> {
      const { method, body: bytes = 0 } = asked;
      let head: Metadata | null = null;
      const onHeader = (fields: Metadata): void => void (head = fields);
      const metadata = { ...Object.fromEntries(sentHeaders(asked)), [ID_FIELD]: id };
      const got = (rest: Pick<Answer, "grpcStatus" | "reason" | "body">, fields: readonly string[]): Answer => ({
        status: 200,
        broken: false,
        headers: comparedHeaders(lists(fields)),
        ...rest,
      });
      const options = { metadata, onHeader, signal: AbortSignal.timeout(CALL_MS) };
      const texts: string[] = [];
      try {
        if (method === STREAMED) {
          for await (const { data } of client.download({}, options)) texts.push(Buffer.from(data).toString());
          return got({ grpcStatus: 0, reason: "", body: toldTexts(texts) }, (head as Metadata | null)?.fields ?? []);
        }
        const { name } = await unary[method as keyof typeof unary]({ name: bodyOf(bytes) }, options);
        return got({ grpcStatus: 0, reason: "", body: name }, (head as Metadata | null)?.fields ?? []);
      } catch (error) {
        if (!(error instanceof WeftError)) throw error;
        // Given up here, as other callers give up: that no answer came is all there is.
        if (options.signal.aborted)
          return { ...got({ grpcStatus: -1, reason: "", body: "" }, []), status: 0, broken: true };
        const fields = [...((head as Metadata | null)?.fields ?? error.metadata.flat())];
        return got({ grpcStatus: codeNumber(error.code), reason: error.reason, body: "" }, fields);
      }
    },
    close: () => pool.close(0),
  };
}

function lists(fields: readonly string[]): Record<string, string[]> {
  const all: Record<string, string[]> = {};
  for (let i = 0; i < fields.length; i += 2) (all[fields[i]] ??= []).push(fields[i + 1]);
  return all;
}
