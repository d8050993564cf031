import { request } from "node:http";
import { type RequestOptions, request as requestSecure } from "node:https";
import type { Endpoint } from "../../core/endpoint.ts";
import type { IdentitySource } from "../../core/identity.ts";
import type { HealthCheck } from "./health-check.ts";
import { connectionFailed, PASSED, type ProbeResult, timedOut } from "./probe-result.ts";

/** One GET over a connection of its own: 200 to 399 passes. A module of its own since few checks need node:http, which brings 7 MB with it. */
export function probeHttp(
  { host, port, identity: expected }: Endpoint,
  { path, timeoutMs }: HealthCheck,
  identity: IdentitySource | undefined,
): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const secure = identity !== undefined && expected !== undefined;
    const call = (secure ? requestSecure : request)({
      ...(secure && mutualTls(identity, expected)),
      host,
      port,
      path,
      method: "GET",
      agent: false,
      headers: { "user-agent": "weft-health-check" },
    });
    // A time-out for the whole probe: an answer that trickles is no answer. Real time, for it is a real socket's.
    const timer = setTimeout(() => done(timedOut(timeoutMs)), timeoutMs);
    const done = (result: ProbeResult) => {
      clearTimeout(timer);
      call.destroy();
      resolve(result);
    };
    call.once("response", ({ statusCode = 0 }) => {
      const passed = statusCode >= 200 && statusCode < 400;
      done(passed ? PASSED : { outcome: "failed", message: `GET ${path} answered ${statusCode}` });
    });
    call.on("error", (error) => done(connectionFailed(error)));
    call.end();
  });
}

/** For node:https; each probe is a connection of its own, with what holds now. */
function mutualTls({ current }: IdentitySource, expected: string): RequestOptions & { ALPNProtocols: string[] } {
  return {
    cert: current.certificate,
    key: current.privateKey,
    ca: current.trust,
    minVersion: "TLSv1.3",
    servername: "",
    ALPNProtocols: ["http/1.1"],
    checkServerIdentity: (_host, { subjectaltname }) =>
      subjectaltname === `URI:${expected}` ? undefined : new Error(`it is not ${expected}, but ${subjectaltname}`),
  };
}
