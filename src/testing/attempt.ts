import type { Call } from "../policy/call.ts";
import type { Answer } from "./answer.ts";
import type { CarriedCall } from "./carried-call.ts";
import { SimEvent } from "./event-queue.ts";
import type { Replica } from "./replica.ts";
import type { Job } from "./server-queue.ts";

/**
 * One attempt (or a mirrored copy) at a server.
 *
 *     connecting -> on its way -> at the server -> answer on its way -> done
 */
export class SimAttempt extends SimEvent implements Job {
  readonly call: CarriedCall;
  readonly number: number;
  /** What it may take, as the server is told; Infinity without limit. */
  readonly timeoutMs: number;
  head: readonly string[] = [];
  path = "";
  authority = "";
  mirror = false;
  done = false;
  replica: Replica | null = null;
  answer: Answer | null = null;
  store: Call["store"] = null;
  /** It is being served. */
  atServer = false;
  /** The server's gates, from its arrival until it is answered; null when there are none. */
  gates: CarriedCall | null = null;
  /** Gives up what the server does for it beside its own work: a handler, calls to others. */
  stopServing: (() => void) | null = null;
  finishAt = 0;
  place = -1;
  workMs = 0;
  #step: Step = CONNECTING;

  constructor(call: CarriedCall, number: number, timeoutMs: number) {
    super();
    this.call = call;
    this.number = number;
    this.timeoutMs = timeoutMs;
  }

  open(replica: Replica): void {
    this.replica = replica;
    replica.attempts++;
    const { connectMs } = replica;
    if (connectMs > 0) this.#after(connectMs);
    else this.fire();
  }

  override fire(): void {
    const replica = this.replica as Replica;
    switch (this.#step) {
      case CONNECTING:
        if (replica.down) {
          this.lost("connect", `${replica.id} refuses connections`);
          return;
        }
        if (!this.mirror) this.call.onConnected(this);
        if (this.done) return;
        this.#step = SENDING;
        if (replica.networkMs > 0) this.#after(replica.networkMs / 2);
        else this.fire();
        return;
      case SENDING:
        this.#step = SERVED;
        if (!this.call.world.gate(this, replica)) replica.serve(this);
        return;
      case ANSWERING:
        if (!this.mirror) this.call.onAnswer(this, this.answer as Answer);
        return;
    }
  }

  /** Its work is done. */
  finished(): void {
    (this.replica as Replica).finished(this);
  }

  answered(answer: Answer): void {
    if (this.done) return;
    this.atServer = false;
    this.stopServing = null;
    this.answer = answer;
    const { gates } = this;
    if (gates !== null) {
      if (gates.acceptedFields !== null)
        this.answer = { ...answer, fields: [...answer.fields, ...gates.acceptedFields] };
      this.gates = null;
      gates.handled(answer);
    }
    this.#step = ANSWERING;
    const { networkMs } = this.replica as Replica;
    if (networkMs > 0) this.#after(networkMs / 2);
    else this.fire();
  }

  lost(kind: "connect" | "reset" | "refused", message: string): void {
    if (this.done) return;
    this.#stop();
    if (this.mirror) this.done = true;
    else this.call.onFailed(this, kind, message);
  }

  /** Nobody wants its answer. */
  abandon(): void {
    if (this.done) return;
    this.done = true;
    this.call.world.events.cancel(this);
    const { atServer } = this;
    this.#stop();
    if (atServer) this.replica?.abandoned(this);
  }

  #stop(): void {
    this.atServer = false;
    const { gates, stopServing } = this;
    this.gates = this.stopServing = null;
    stopServing?.();
    gates?.cancel();
  }

  #after(ms: number): void {
    const { events } = this.call.world;
    events.schedule(this, events.now() + ms);
  }
}

type Step = 0 | 1 | 2 | 3;
const CONNECTING = 0;
const SENDING = 1;
const SERVED = 2;
const ANSWERING = 3;
