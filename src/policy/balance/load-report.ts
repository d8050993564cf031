/**
 * What a server says of its load on a response that it gives anyway: ORCA's OrcaLoadReport (xds.data.orca.v3; gRFC A51), in the header or trailer
 * `endpoint-load-metrics` with one of Envoy's prefixes, or as a message in `endpoint-load-metrics-bin`:
 *
 *     TEXT cpu_utilization=0.31,mem_utilization=0.5,rps_fractional=212,eps=0.4,named_metrics.event_loop=0.4,named_metrics.rif=4,named_metrics.latency_ms=12.5
 *     JSON {"cpu_utilization":0.31,"named_metrics":{"rif":4}}
 *     BIN  base64 of the message
 *
 * weft's servers send TEXT to callers that ask with `endpoint-load-metrics-format: TEXT`. Numbers; -1 for what is not said. Utilisations lie in 0..1,
 * and may exceed 1 where a server's idea of full is softer.
 */
export class LoadReport {
  /** Requests in flight at the server, of all its callers. */
  inFlight = -1;
  latencyMs = -1;
  qps = -1;
  /** Errors a second. */
  eps = -1;
  cpu = -1;
  memory = -1;
  eventLoop = -1;
  application = -1;

  clear(): void {
    this.inFlight = this.latencyMs = this.qps = this.eps = -1;
    this.cpu = this.memory = this.eventLoop = this.application = -1;
  }

  /** Takes a field of a response; false when it is no report that can be read. What is not understood in it is left out. */
  read(name: string, value: string): boolean {
    if (value.length > MAX_LENGTH) return false;
    this.clear();
    if (name === LOAD_REPORT_BIN_FIELD) return this.#readMessage(value);
    switch (value.slice(0, 5)) {
      case "TEXT ":
        return this.#readText(value);
      case "JSON ":
        return this.#readJson(value.slice(5));
      default:
        return value.startsWith("BIN ") && this.#readMessage(value.slice(4));
    }
  }

  #readText(text: string): boolean {
    let any = false;
    for (let at = 5; at < text.length; ) {
      let end = text.indexOf(",", at);
      if (end < 0) end = text.length;
      const equals = text.indexOf("=", at);
      if (equals > at && equals < end)
        any = this.#set(text.slice(at, equals).trim(), Number(text.slice(equals + 1, end))) || any;
      at = end + 1;
    }
    return any;
  }

  #readJson(text: string): boolean {
    let report: unknown;
    try {
      report = JSON.parse(text);
    } catch {
      return false;
    }
    if (typeof report !== "object" || report === null) return false;
    let any = false;
    for (const [name, value] of Object.entries(report)) {
      if (name === "named_metrics" || name === "utilization") {
        if (typeof value !== "object" || value === null) continue;
        for (const [metric, number] of Object.entries(value))
          any = this.#set(`named_metrics.${metric}`, numberOf(number)) || any;
      } else any = this.#set(name, numberOf(value)) || any;
    }
    return any;
  }

  /** Fields 1 cpu, 2 memory, 6 rps_fractional, 7 eps, 9 application; of the maps 5 and 8 entries by name. All others are skipped. */
  #readMessage(base64: string): boolean {
    const bytes = Buffer.from(base64, "base64");
    let any = false;
    for (let at = 0; at < bytes.length; ) {
      const tag = bytes[at++];
      const field = tag >> 3;
      const name = MESSAGE_FIELDS[field] ?? "";
      if ((tag & 7) === 1 && at + 8 <= bytes.length) {
        any = this.#set(name, bytes.readDoubleLE(at)) || any;
        at += 8;
      } else if ((tag & 7) === 2 && at < bytes.length) {
        const length = bytes[at++];
        if (length > 127 || at + length > bytes.length) return any; // longer names are nobody's that is known here
        const nameLength = bytes[at + 1];
        // An entry of a map: 0x0a length name 0x11 double.
        if (name === "*" && bytes[at] === 0x0a && 3 + nameLength + 8 <= length && bytes[at + 2 + nameLength] === 0x11) {
          const metric = bytes.toString("utf8", at + 2, at + 2 + nameLength);
          any = this.#set(`named_metrics.${metric}`, bytes.readDoubleLE(at + 3 + nameLength)) || any;
        }
        at += length;
      } else if ((tag & 7) === 0) {
        while (at < bytes.length && bytes[at++] >= 0x80);
      } else return any;
    }
    return any;
  }

  #set(name: string, value: number): boolean {
    if (!Number.isFinite(value) || value < 0 || value > MAX_VALUE) return false;
    switch (name) {
      case "cpu_utilization":
        this.cpu = value;
        return true;
      case "mem_utilization":
        this.memory = value;
        return true;
      case "application_utilization":
        this.application = value;
        return true;
      case "rps_fractional":
        this.qps = value;
        return true;
      case "eps":
        this.eps = value;
        return true;
      case "named_metrics.rif":
        this.inFlight = value;
        return true;
      case "named_metrics.latency_ms":
        this.latencyMs = value;
        return true;
      case "named_metrics.event_loop":
        this.eventLoop = value;
        return true;
      default:
        return false;
    }
  }
}

/** Of a server's JSON, in which an object may stand that cannot be turned into a number at all. */
function numberOf(value: unknown): number {
  return typeof value === "number" || typeof value === "string" ? Number(value) : Number.NaN;
}

export const LOAD_REPORT_FIELD = "endpoint-load-metrics";
const LOAD_REPORT_BIN_FIELD = "endpoint-load-metrics-bin";
/** By which a caller asks for reports. */
export const LOAD_FORMAT_FIELD = "endpoint-load-metrics-format";
/** Of a request whose balancer goes by reports. */
export const ASK_FOR_REPORTS: readonly string[] = [LOAD_FORMAT_FIELD, "TEXT"];

const MESSAGE_FIELDS: Readonly<Record<number, string>> = {
  1: "cpu_utilization",
  2: "mem_utilization",
  5: "*",
  6: "rps_fractional",
  7: "eps",
  8: "*",
  9: "application_utilization",
};
const MAX_LENGTH = 4_096;
const MAX_VALUE = 1e12;
