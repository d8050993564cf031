import type { RequestPlan } from "./dispatch.ts";
import { answer } from "./rejection.ts";
import type { ServerStatus } from "./server-status.ts";

/** GET /healthz: the process answers. GET /readyz: it wants calls (503 while it starts, is unready or drains). */
export function answerProbe(path: "/healthz" | "/readyz", method: string, status: ServerStatus): RequestPlan {
  if (method !== "GET" && method !== "HEAD")
    return answer(405, ["allow", "GET, HEAD", ...TEXT], Buffer.from("use GET\n"));
  if (path === "/healthz") return OK;
  return {
    start(stream, head, fin) {
      if (status.state === "serving") OK.start(stream, head, fin, null);
      else answer(503, TEXT, Buffer.from(`${status.state}\n`)).start(stream, head, fin, null);
    },
  };
}

const TEXT = ["content-type", "text/plain; charset=utf-8", "cache-control", "no-store"];
const OK = answer(200, TEXT, Buffer.from("ok\n"));
