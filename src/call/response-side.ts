import type { BodyStore } from "../policy/call.ts";
import type { Head } from "../wire/head.ts";
import type { Attempt } from "./attempt.ts";
import { RequestSide } from "./request-side.ts";
import { changedResponse } from "./response-changes.ts";
import { SLICE_MS, ThrottledBody } from "./throttled-body.ts";

/** The way down of a carried call: the answer that policy delivers, and a session's bytes. carried-request.ts says what must hold. */
export abstract class ResponseSide extends RequestSide {
  protected delivering: Attempt | null = null;
  private responsePaused = false;
  private owedCredit = 0;
  /** Where a copy of the body goes; null when nobody wants one, or once it is complete. */
  private store: BodyStore | null = null;
  /** Paces the body; null when it may go as it comes. */
  private throttle: ThrottledBody | null = null;
  // session
  private carriedUp = 0;
  private carriedDown = 0;
  /** When bytes were last carried. */
  private carriedAt = 0;
  private upEnded = false;
  private downEnded = false;

  credit(bytes: number): void {
    if (this.ended) return;
    if (this.responsePaused) this.owedCredit += bytes;
    else this.delivering?.stream?.credit(bytes);
  }

  protected pauseResponse(): void {
    this.responsePaused = true;
  }

  protected resumeResponse(): void {
    this.responsePaused = false;
    if (this.owedCredit > 0) {
      this.delivering?.stream?.credit(this.owedCredit);
      this.owedCredit = 0;
    }
  }

  // --- from attempts ------------------------------------------------------------------------------------------

  onResponseHead(attempt: Attempt, head: Head, fin: boolean): void {
    if (head.status < 200 && head.status !== 101) {
      // Interim responses say nothing about the outcome; they pass on while it is clear whose they are.
      if (attempt === this.attempts && attempt.next === null) this.downstream.onHead(head, false);
      return;
    }
    attempt.responseHead = head;
    attempt.headFin = fin;
    const now = this.carrier.clock.now();
    this.call.head(attempt.number, head.status, head.fields, fin, now);
    this.drain(now);
    if (fin) this.afterResponse(attempt);
  }

  onResponseData(attempt: Attempt, chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    if (this.throttle !== null && this.delivering === attempt) {
      this.throttle.add(chunk, start, end, fin);
      this.pace(this.carrier.clock.now());
    } else this.passData(attempt, chunk, start, end, fin);
  }

  private passData(attempt: Attempt, chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    if (this.delivering === attempt) {
      if (this.session) {
        this.sessionDown(chunk, start, end, fin);
        return;
      }
      if (this.store !== null) this.keep(this.store, chunk, start, end, fin);
      this.downstream.onData(chunk, start, end, fin);
      if (this.ended) return;
    } else attempt.hold(chunk, start, end, fin);
    const now = this.carrier.clock.now();
    this.call.responseData(attempt.number, end - start, fin, now);
    this.drain(now);
    if (fin) this.afterResponse(attempt);
  }

  onResponseTrailers(attempt: Attempt, head: Head): void {
    if (this.throttle !== null && this.delivering === attempt) {
      this.throttle.trailers = head;
      this.pace(this.carrier.clock.now());
    } else this.passTrailers(attempt, head);
  }

  private passTrailers(attempt: Attempt, head: Head): void {
    if (this.delivering === attempt) {
      if (this.store !== null) this.keep(this.store, EMPTY, 0, 0, true);
      this.downstream.onTrailers(head);
      if (this.ended) return;
    } else attempt.heldTrailers = head;
    const now = this.carrier.clock.now();
    this.call.trailers(attempt.number, head.fields, now);
    this.drain(now);
    this.afterResponse(attempt);
  }

  /** A response that is complete but not delivered: a retry follows, or hedging's other attempt won. */
  private afterResponse(attempt: Attempt): void {
    if (this.ended || this.delivering === attempt || attempt.done) return;
    this.unlink(attempt);
    attempt.abandon();
  }

  // --- to downstream ------------------------------------------------------------------------------------------

  protected deliver(): void {
    const attempt = this.find(this.call.attempt);
    if (attempt === null || attempt.responseHead === null) return;
    this.delivering = attempt;
    if (this.kept !== null) this.forget(true);
    const { request, downstream } = this;
    const head = attempt.responseHead;
    const status = head.status;
    this.session = status === 101 || ((request.protocol !== "" || request.method === "CONNECT") && status < 300);
    const { store, bytesPerSecond } = this.call;
    if (store !== null) this.beginStore(store, attempt.headFin);
    if (bytesPerSecond > 0 && !this.session)
      this.throttle = new ThrottledBody(bytesPerSecond, this.carrier.clock.now());
    downstream.onHead(changedResponse(head, this.call.addFields, this.call.removeFields), attempt.headFin);
    if (attempt.held !== null || attempt.heldFin || attempt.heldTrailers !== null) this.deliverHeld(attempt);
  }

  private deliverHeld(attempt: Attempt): void {
    const downstream = this.downstream;
    const held = attempt.held ?? [];
    attempt.held = null;
    if (this.throttle !== null) {
      for (const piece of held) this.throttle.add(piece, 0, piece.length, false);
      this.throttle.fin = attempt.heldFin;
      this.throttle.trailers = attempt.heldTrailers;
      this.pace(this.carrier.clock.now());
      return;
    }
    const { store } = this;
    if (store !== null) {
      for (const piece of held) store.data(piece, 0, piece.length);
      if (attempt.heldFin || attempt.heldTrailers !== null) this.keep(store, EMPTY, 0, 0, true);
    }
    for (let i = 0; i < held.length && !this.ended; i++) {
      downstream.onData(held[i], 0, held[i].length, attempt.heldFin && i === held.length - 1);
    }
    if (this.ended) return;
    if (attempt.heldFin && held.length === 0) downstream.onData(EMPTY, 0, 0, true);
    if (attempt.heldTrailers !== null && !this.ended) downstream.onTrailers(attempt.heldTrailers);
  }

  /** Passes on what the throttle lets through, and comes back for the rest. */
  protected pace(now: number): void {
    const { throttle, delivering } = this;
    if (throttle === null || delivering === null) return;
    for (let piece = throttle.take(now); piece !== null; piece = throttle.take(now)) {
      const last = throttle.empty && throttle.fin;
      this.passData(delivering, piece, 0, piece.length, last);
      if (last || this.ended) return;
    }
    if (!throttle.empty) this.startTimer(PACE_TIMER, SLICE_MS, now);
    else if (throttle.trailers !== null) this.passTrailers(delivering, throttle.trailers);
    else if (throttle.fin) this.passData(delivering, EMPTY, 0, 0, true);
  }

  /** A downstream that turns the response into another one keeps that. */
  private beginStore(store: BodyStore, fin: boolean): void {
    if (this.downstream.takeStore !== undefined) this.downstream.takeStore(store);
    else if (fin) store.end();
    else this.store = store;
  }

  private keep(store: BodyStore, chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    if (end > start) store.data(chunk, start, end);
    if (!fin) return;
    this.store = null;
    store.end();
  }

  /** The call is over: a copy that is not complete is none. */
  protected endResponse(): void {
    this.delivering = this.throttle = null;
    if (this.store === null) return;
    const { store } = this;
    this.store = null;
    store.abort();
  }

  // --- session ------------------------------------------------------------------------------------------------

  protected sessionUp(chunk: Uint8Array, start: number, end: number, fin: boolean): boolean {
    const attempt = this.delivering;
    if (attempt === null || attempt.stream === null) return true;
    this.carriedUp += end - start;
    this.carriedAt = this.carrier.clock.now();
    if (fin) this.requestEnded = this.upEnded = true;
    const writable = attempt.stream.sendData(chunk, start, end, fin);
    if (!writable) attempt.blocked = this.requestBlocked = true;
    this.tellCarried();
    return writable;
  }

  private sessionDown(chunk: Uint8Array, start: number, end: number, fin: boolean): void {
    this.carriedDown += end - start;
    this.carriedAt = this.carrier.clock.now();
    if (fin) this.downEnded = true;
    this.downstream.onData(chunk, start, end, fin);
    if (!this.ended) this.tellCarried();
  }

  private tellCarried(): void {
    const over = this.upEnded && this.downEnded;
    if (!over && this.carriedUp + this.carriedDown < TELL_CARRIED_BYTES) return;
    this.tellCarriedNow();
    if (over) this.call.sessionEnd(this.carriedAt);
    this.drain(this.carriedAt);
  }

  /** A session's bytes are told now and then; for its idle time-out they have to be told before. */
  protected tellCarriedBytes(): void {
    if (this.session && this.carriedUp + this.carriedDown > 0) this.tellCarriedNow();
  }

  private tellCarriedNow(): void {
    this.call.carried(this.carriedUp, this.carriedDown, this.carriedAt);
    this.carriedUp = this.carriedDown = 0;
  }
}

const EMPTY = new Uint8Array(0);
/** Beside the machine's own, which are below 32. */
export const PACE_TIMER = 32;
/** How often a long session's bytes are told to the machine. */
const TELL_CARRIED_BYTES = 262_144;
