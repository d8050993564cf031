import { Heap } from "../core/heap.ts";
import { type EventQueue, SimEvent } from "./event-queue.ts";

/** Work that a server does. */
export interface Job {
  /** In the server's own time (ServerQueue); set by it. */
  finishAt: number;
  /** Its place among those being served, -1 when it waits or is over. */
  place: number;
  /** Ms on an idle server at speed 1. */
  workMs: number;
  finished(): void;
}

/**
 * One server's capacity. Calls are served at once, by turns or in line:
 *
 *     concurrency = Infinity                  as many as come, none slows another
 *     concurrency = c, sharing = false        c at once, further ones wait in line (M/G/c)
 *     concurrency = c, sharing = true         all at once; above c they share the c processors equally (processor sharing)
 *
 * All of it is one clock: the server's own time runs at `speed` (0 while it stalls), times c/n while n > c share. A job is done when that clock has
 * moved on by its work, so a change of speed or load moves one event instead of every job's.
 *
 *     Q1  The own time never runs backwards; jobs finish in the order of finishAt.
 *     Q2  At most one event is scheduled: the end of the job that finishes next.
 */
export class ServerQueue extends SimEvent {
  readonly #events: EventQueue;
  readonly #concurrency: number;
  readonly #sharing: boolean;
  readonly #maxWaiting: number;
  /** Jobs being served. */
  readonly #serving = new Heap<Job>(finishesBefore, (job, place) => {
    job.place = place;
  });
  #waiting: Job[] = [];
  #firstWaiting = 0;
  #speed = 1;
  /** The own time, as of #since. */
  #time = 0;
  #since = 0;

  constructor(events: EventQueue, concurrency: number, sharing: boolean, maxWaiting: number) {
    super();
    this.#events = events;
    this.#concurrency = concurrency;
    this.#sharing = sharing;
    this.#maxWaiting = maxWaiting;
  }

  /** Being served and in line. */
  get load(): number {
    return this.#serving.size + this.#waiting.length - this.#firstWaiting;
  }

  get speed(): number {
    return this.#speed;
  }

  set speed(speed: number) {
    if (speed === this.#speed) return;
    this.#settle();
    this.#speed = speed;
    this.#reschedule();
  }

  /** False when the line is full. */
  submit(job: Job): boolean {
    job.place = -1;
    if (!this.#sharing && this.#serving.size >= this.#concurrency) {
      if (this.#waiting.length - this.#firstWaiting >= this.#maxWaiting) return false;
      this.#waiting.push(job);
      return true;
    }
    if (this.#sharing && this.#serving.size >= this.#concurrency + this.#maxWaiting) return false;
    this.#settle();
    this.#serve(job);
    this.#reschedule();
    return true;
  }

  /** Nobody wants its answer any more: what was not done of it is not done. */
  remove(job: Job): void {
    if (job.place < 0) {
      const at = this.#waiting.indexOf(job, this.#firstWaiting);
      if (at >= 0) this.#waiting.splice(at, 1);
      return;
    }
    this.#settle();
    this.#serving.removeAt(job.place);
    this.#next();
    this.#reschedule();
  }

  /** Takes everything out that is there, in the order in which it would have been done. */
  drain(): Job[] {
    this.#settle();
    const jobs: Job[] = [];
    for (let job = this.#serving.take(); job !== undefined; job = this.#serving.take()) jobs.push(job);
    jobs.push(...this.#waiting.slice(this.#firstWaiting));
    this.#waiting.length = this.#firstWaiting = 0;
    this.#reschedule();
    return jobs;
  }

  override fire(): void {
    this.#settle();
    const job = this.#serving.take();
    if (job === undefined) return;
    this.#time = Math.max(this.#time, job.finishAt); // past rounding
    this.#next();
    this.#reschedule();
    job.finished();
  }

  #serve(job: Job): void {
    job.finishAt = this.#time + job.workMs;
    this.#serving.push(job);
  }

  /** Who is next in line. */
  #next(): void {
    if (this.#sharing) return;
    while (this.#firstWaiting < this.#waiting.length && this.#serving.size < this.#concurrency) {
      this.#serve(this.#waiting[this.#firstWaiting++]);
    }
    if (this.#firstWaiting > 1_024 && this.#firstWaiting * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#firstWaiting);
      this.#firstWaiting = 0;
    }
  }

  get #rate(): number {
    const { size } = this.#serving;
    return this.#sharing && size > this.#concurrency ? (this.#speed * this.#concurrency) / size : this.#speed;
  }

  #settle(): void {
    const now = this.#events.now();
    this.#time += (now - this.#since) * this.#rate;
    this.#since = now;
  }

  #reschedule(): void {
    const { first } = this.#serving;
    const rate = this.#rate;
    if (first === undefined || rate === 0) {
      this.#events.cancel(this);
      if (first === undefined) this.#time = 0; // an idle server begins anew, so that its time stays precise
    } else this.#events.schedule(this, this.#since + Math.max(0, first.finishAt - this.#time) / rate);
  }
}

function finishesBefore(a: Job, b: Job): boolean {
  return a.finishAt < b.finishAt;
}
