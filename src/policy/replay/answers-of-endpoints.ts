import type { Random } from "../../core/random.ts";
import type { RecordedCall, RecordedEvent } from "./recorded.ts";

/** How one attempt was answered, times from its beginning. */
export interface AttemptScript {
  readonly events: readonly { readonly afterMs: number; readonly event: RecordedEvent }[];
  /** It was not waited for to its end: what is known is that there was no answer for so long. -1: it was answered, or failed. */
  readonly silentMs: number;
}

/**
 * How endpoints answered in a recording, for attempts that were not made in it: an answer of the same endpoint to the same method, nearest in time, of a few of
 * which one is drawn; failing that any answer of the endpoint, then of its service.
 */
export class AnswersOfEndpoints {
  readonly #byKey = new Map<string, { at: number; script: AttemptScript }[]>();

  /** In the order of time. */
  add(call: RecordedCall): void {
    const { context, decision } = call;
    // What a server answered itself has no attempt.
    if (context.place === "server") this.#keep(call, 0, "", context.service);
    for (const { number, endpoint } of decision.attempts) this.#keep(call, number, endpoint, decision.service);
  }

  #keep(call: RecordedCall, number: number, endpoint: string, service: string): void {
    const script = scriptOf(call, number);
    if (script.silentMs >= 0) return;
    for (const key of keysOf(endpoint, service, pathOf(call))) {
      const scripts = this.#byKey.get(key);
      if (scripts === undefined) this.#byKey.set(key, [{ at: call.at, script }]);
      else scripts.push({ at: call.at, script });
    }
  }

  /** Null when nothing is known of the endpoint nor of its service. `longerThanMs`: there was no answer for so long. */
  estimate(
    endpoint: string,
    service: string,
    path: string,
    at: number,
    random: Random,
    longerThanMs = 0,
  ): AttemptScript | null {
    for (const key of keysOf(endpoint, service, path)) {
      const scripts = this.#byKey.get(key);
      if (scripts === undefined) continue;
      const from = Math.max(0, Math.min(lowerBound(scripts, at) - NEAR / 2, scripts.length - NEAR));
      const near = scripts
        .slice(from, from + NEAR)
        .filter(({ script }) => (script.events[0]?.afterMs ?? 0) > longerThanMs);
      if (near.length > 0) return near[Math.floor(random.next() * near.length)].script;
    }
    return null;
  }
}

/** What the recording says of an attempt. */
export function scriptOf(call: RecordedCall, number: number): AttemptScript {
  const attempt = call.decision.attempts[number - 1];
  const begunAt = call.at + (attempt?.startMs ?? 0);
  const events = call.events.flatMap((event) =>
    isOfAttempt(event, number) ? [{ afterMs: Math.max(0, event[1] - begunAt), event }] : [],
  );
  // Once its head has come it is answered, however long the rest takes; what ends a stream that has no end is its caller.
  const answered = events.some(({ event }) => event[0] === "failed" || event[0] === "head");
  if (answered) {
    const end = call.events.find((event) => event[0] === "sessionEnd");
    if (end !== undefined && number === call.decision.attempts.length)
      events.push({ afterMs: Math.max(0, end[1] - begunAt), event: end });
  }
  return { events, silentMs: answered ? -1 : (attempt?.durationMs ?? 0) };
}

export function pathOf({ request }: Pick<RecordedCall, "request">): string {
  return request.path.split("?", 1)[0];
}

function isOfAttempt(event: RecordedEvent, number: number): boolean {
  switch (event[0]) {
    case "connected":
    case "head":
    case "responseData":
    case "trailers":
    case "failed":
      return event[2] === number;
    default:
      return false;
  }
}

function* keysOf(endpoint: string, service: string, path: string): Generator<string> {
  yield `${endpoint} ${path}`;
  yield endpoint;
  yield `service ${service}`;
}

function lowerBound(scripts: readonly { at: number }[], at: number): number {
  let low = 0;
  let high = scripts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (scripts[middle].at < at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Answers around a time of which one is drawn. */
const NEAR = 16;
