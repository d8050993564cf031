import { EXPOSITION_TYPE, exposition } from "../telemetry/exposition.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { createProcessMonitor, type ProcessMonitor } from "../telemetry/process-metrics.ts";
import { type Head, responseHead } from "../wire/head.ts";
import type { HttpStream, RequestHandler } from "../wire/stream.ts";
import { UnreadBody } from "./unread-body.ts";

/** What the admin address answers: GET only, no bodies, nothing that changes anything. */
export interface AdminOptions {
  metrics: Metrics;
  /** Liveness is that it answers at all; readiness is this: null when ready, otherwise why not. */
  notReady: () => string | null;
  /** Further pages: path to JSON value, by what the query says. */
  pages?: Readonly<Record<string, (query: URLSearchParams) => unknown>>;
  /** Further pages that answer for themselves, bit by bit. */
  streams?: Readonly<Record<string, StreamedPage>>;
}

/** Answers a GET, now or later; `refuse` does it with a status and a text. */
export type StreamedPage = (
  stream: HttpStream,
  head: Head,
  query: URLSearchParams,
  refuse: (status: number, text: string) => void,
) => void;

/**
 *     /metrics   Prometheus text      /healthz   200 while the process lives      /readyz   200, or 503 with the reason
 */
export function createAdminHandler(options: AdminOptions): RequestHandler {
  const monitor: ProcessMonitor = createProcessMonitor(options.metrics);
  return {
    onRequest(stream, head, fin) {
      stream.sink = new UnreadBody(fin);
      const path = head.path.split("?", 1)[0];
      if (head.method !== "GET" && head.method !== "HEAD")
        return answer(stream, head, 405, "text/plain", "only GET is served here\n", ["allow", "GET, HEAD"]);
      if (path === "/metrics") {
        monitor.update();
        return answer(stream, head, 200, EXPOSITION_TYPE, exposition(options.metrics));
      }
      if (path === "/healthz") return answer(stream, head, 200, "text/plain", "ok\n");
      if (path === "/readyz") {
        const why = options.notReady();
        return why === null
          ? answer(stream, head, 200, "text/plain", "ready\n")
          : answer(stream, head, 503, "text/plain", `${why}\n`);
      }
      const page = Object.hasOwn(options.pages ?? {}, path) ? options.pages?.[path] : undefined;
      if (page !== undefined)
        return answer(
          stream,
          head,
          200,
          "application/json",
          `${JSON.stringify(page(new URLSearchParams(head.path.slice(path.length + 1))))}\n`,
        );
      const streamed = Object.hasOwn(options.streams ?? {}, path) ? options.streams?.[path] : undefined;
      if (streamed !== undefined && head.method === "GET") {
        const refuse = (status: number, text: string): void => answer(stream, head, status, "text/plain", `${text}\n`);
        return streamed(stream, head, new URLSearchParams(head.path.slice(path.length + 1)), refuse);
      }
      const known = ["/metrics", "/healthz", "/readyz", ...Object.keys({ ...options.pages, ...options.streams })];
      return answer(stream, head, 404, "text/plain", `no ${path} here; there are ${known.join(", ")}\n`);
    },
  };
}

function answer(
  stream: HttpStream,
  head: Head,
  status: number,
  type: string,
  text: string,
  fields: readonly string[] = [],
): void {
  const body = Buffer.from(text);
  const only = head.method === "HEAD";
  stream.sendHead(
    responseHead(status, [
      "content-type",
      type,
      "content-length",
      `${body.length}`,
      "cache-control",
      "no-store",
      ...fields,
    ]),
    null,
    only,
  );
  if (!only) stream.sendData(body, 0, body.length, true);
}
