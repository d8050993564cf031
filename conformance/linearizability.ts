/**
 * One operation on one register, as its client saw it. A register holds a text, or null (nothing). `invoked` and `returned` are places in one order of all that clients did
 * (a counter); `returned` null: it failed without saying whether it was carried out, which it may have been, or may yet be.
 */
export interface Operation {
  readonly key: string;
  readonly client: string;
  readonly invoked: number;
  readonly returned: number | null;
  readonly action: Action;
}

export type Action =
  | { readonly kind: "read"; readonly value: string | null }
  | { readonly kind: "write"; readonly value: string | null }
  /** `done`: whether it was so; not asked where `returned` is null. */
  | {
      readonly kind: "compare and set";
      readonly expected: string | null;
      readonly value: string | null;
      readonly done: boolean;
    }
  /** Takes away this value, and no other; does not say whether it was there. */
  | { readonly kind: "take away"; readonly value: string };

export type Verdict = { readonly linearizable: true } | { readonly linearizable: false; readonly why: string };

/**
 * Whether every register's operations can be put into one order in which each takes effect at a moment between its invocation and its return, and reads what was
 * written last. Each register is judged by itself, which says the same of all together (Herlihy and Wing, "Linearizability", 1990: it is local).
 *
 * Source of the search: Wing and Gong, "Testing and Verifying Concurrent Objects" (1993), which tries orders from the left; with Lowe's memory of what was tried ("Testing for
 * linearizability", 2017): what has been ordered, and the value then. Throws when a register takes more than `maxSteps` steps: use shorter histories.
 */
export function judgeHistory(history: readonly Operation[], maxSteps = 5_000_000): Verdict {
  const byKey = new Map<string, Operation[]>();
  for (const operation of history) {
    const { key, returned, action } = operation;
    if (returned === null && action.kind === "read") continue; // it says nothing
    const ofKey = byKey.get(key);
    if (ofKey === undefined) byKey.set(key, [operation]);
    else ofKey.push(operation);
  }
  for (const [key, operations] of byKey) {
    const stuck = search(operations, maxSteps);
    if (stuck !== null) return { linearizable: false, why: `register ${JSON.stringify(key)}: ${stuck}` };
  }
  return { linearizable: true };
}

/** What a history says, for who reads it. */
export function showOperation({ client, invoked, returned, action }: Operation): string {
  const when = `[${invoked}..${returned ?? "?"}] ${client}`;
  switch (action.kind) {
    case "read":
      return `${when} reads ${action.value}`;
    case "write":
      return `${when} writes ${action.value}`;
    case "compare and set": {
      const end = returned === null ? "unknown" : action.done ? "done" : "not so";
      return `${when} sets ${action.expected} to ${action.value}: ${end}`;
    }
    case "take away":
      return `${when} takes ${action.value} away`;
  }
}

/** Events in order of time: the beginnings and ends of what is not ordered yet. */
interface Event {
  readonly number: number;
  readonly operation: Operation;
  /** Of a beginning: its end. */
  readonly end: Event | null;
  before: Event | null;
  after: Event | null;
}

/** Null: there is an order. Otherwise what could not be placed. */
function search(operations: readonly Operation[], maxSteps: number): string | null {
  const head = link(operations);
  const tried = new Set<string>();
  const taken: { begin: Event; state: string | null }[] = [];
  let ordered = 0n;
  let state: string | null = null;
  let event = head.after;
  let steps = 0;
  let furthest = -1;
  let why = "";
  while (head.after !== null) {
    if (event === null) throw new Error("an operation has no end");
    if (++steps > maxSteps) throw new Error(`no verdict in ${maxSteps} steps on ${operations.length} operations`);
    if (event.end !== null) {
      const next = apply(event.operation, state);
      const then: bigint = ordered | (1n << BigInt(event.number));
      const known: string = next === undefined ? "" : `${then.toString(36)} ${next === null ? "" : `=${next}`}`;
      if (next === undefined || tried.has(known)) {
        event = event.after;
        continue;
      }
      tried.add(known);
      taken.push({ begin: event, state });
      ordered = then;
      state = next;
      lift(event);
      event = head.after;
      continue;
    }
    // It ended before this, and has no place before that.
    if (taken.length > furthest) {
      furthest = taken.length;
      const last = taken.slice(-8).map(({ begin }) => showOperation(begin.operation));
      why = `${showOperation(event.operation)} has no place; the value was ${state} after ... ${last.join("; ")}`;
    }
    const back = taken.pop();
    if (back === undefined) return why;
    ordered &= ~(1n << BigInt(back.begin.number));
    state = back.state;
    unlift(back.begin);
    event = back.begin.after;
  }
  return null;
}

/** The value afterwards; undefined: it cannot have been so. */
function apply({ action, returned }: Operation, state: string | null): string | null | undefined {
  switch (action.kind) {
    case "read":
      return action.value === state ? state : undefined;
    case "write":
      return action.value;
    case "compare and set":
      if (returned === null) return action.expected === state ? action.value : state;
      if (action.done) return action.expected === state ? action.value : undefined;
      return action.expected === state ? undefined : state;
    case "take away":
      return action.value === state ? null : state;
  }
}

/** What has no end ends after everything: there it can always be placed, and is seen by nobody. */
function link(operations: readonly Operation[]): Event {
  const begins = operations.map((operation, number): Event => {
    const end: Event = { number, operation, end: null, before: null, after: null };
    return { number, operation, end, before: null, after: null };
  });
  const at = (event: Event): number =>
    event.end !== null ? event.operation.invoked : (event.operation.returned ?? Number.POSITIVE_INFINITY);
  const all = begins.flatMap((begin) => (begin.end === null ? [] : [begin, begin.end]));
  all.sort((a, b) => (at(a) === at(b) ? Number(a.end === null) - Number(b.end === null) : at(a) - at(b)));
  const head: Event = { number: -1, operation: operations[0], end: null, before: null, after: null };
  let last = head;
  for (const event of all) {
    last.after = event;
    event.before = last;
    last = event;
  }
  return head;
}

function lift(begin: Event): void {
  for (const event of [begin, begin.end]) {
    if (event === null) continue;
    if (event.before !== null) event.before.after = event.after;
    if (event.after !== null) event.after.before = event.before;
  }
}

function unlift(begin: Event): void {
  for (const event of [begin.end, begin]) {
    if (event === null) continue;
    if (event.before !== null) event.before.after = event;
    if (event.after !== null) event.after.before = event;
  }
}
