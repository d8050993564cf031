import { type Code, WeftError } from "../core/errors.ts";
import type { InstanceCalls } from "./host-server.ts";
import type { RunFile } from "./run-file.ts";
import type { SupervisorPhase } from "./supervisor-types.ts";
import type { InstanceView } from "./types.ts";

export interface HostStatus {
  readonly phase: SupervisorPhase;
  readonly control: string | null;
  readonly gateway: string | null;
  readonly gatewayAdmin: string | null;
  readonly dns: string | null;
  readonly instances: readonly (InstanceView & { readonly calls: InstanceCalls | null })[];
}

/** Talks to a running host (host-server.ts). Throws the host's errors; `unavailable` (HOST_GONE) when it does not answer. */
export function createHostClient(run: RunFile) {
  async function ask(method: "GET" | "POST", path: string, signal?: AbortSignal): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(new URL(path, run.host), {
        method,
        headers: { authorization: `Bearer ${run.token}` },
        signal,
      });
    } catch (cause) {
      throw new WeftError(
        "unavailable",
        `the host of ${run.system} (process ${run.pid}) does not answer at ${run.host}`,
        { reason: "HOST_GONE", cause },
      );
    }
    if (response.ok) return response;
    const { code, reason, message } = (await response.json()) as { code: Code; reason: string; message: string };
    throw new WeftError(code, message, { reason });
  }
  return {
    async status(): Promise<HostStatus> {
      return (await (await ask("GET", "/v1/ps")).json()) as HostStatus;
    },
    /** Chunks of text, whole lines together. */
    async *logs(
      name: string,
      options: { lines: number; follow: boolean; signal?: AbortSignal },
    ): AsyncGenerator<string> {
      const query = `name=${encodeURIComponent(name)}&lines=${options.lines}${options.follow ? "&follow=1" : ""}`;
      const { body } = await ask("GET", `/v1/logs?${query}`, options.signal);
      if (body === null) return;
      yield* body.pipeThrough(new TextDecoderStream());
    },
    async restart(name: string): Promise<void> {
      await ask("POST", `/v1/restart?name=${encodeURIComponent(name)}`);
    },
    async stop(): Promise<void> {
      await ask("POST", "/v1/stop");
    },
  };
}

export type HostClient = ReturnType<typeof createHostClient>;
