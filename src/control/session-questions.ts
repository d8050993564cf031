import {
  type Answer,
  FindDecisionsSchema,
  ProbeSchema,
  type Question,
  type QuestionSchema,
} from "../contract/gen/weft/control/v1/control.ts";
import { create, type MessageInitShape } from "../contract/runtime.ts";
import type { Clock } from "../core/clock.ts";

/** What one attached process is asked, and has not answered yet. */
export class SessionQuestions {
  readonly #clock: Clock;
  readonly #send: (question: MessageInitShape<typeof QuestionSchema>) => void;
  readonly #asked = new Map<bigint, (answer: Answer | null) => void>();
  #last = 0n;
  #closed = false;

  constructor(clock: Clock, send: (question: MessageInitShape<typeof QuestionSchema>) => void) {
    this.#clock = clock;
    this.#send = send;
  }

  /** Which of the calls that it remembers are meant. As ask(). */
  findDecisions(value: MessageInitShape<typeof FindDecisionsSchema>, timeoutMs: number): Promise<Answer | null> {
    return this.#ask({ case: "findDecisions", value: create(FindDecisionsSchema, value) }, timeoutMs);
  }

  /** By which revision it decides calls now. As ask(). */
  probe(timeoutMs: number): Promise<Answer | null> {
    return this.#ask({ case: "probe", value: create(ProbeSchema) }, timeoutMs);
  }

  answered(answer: Answer): void {
    const answered = this.#asked.get(answer.questionId);
    this.#asked.delete(answer.questionId);
    answered?.(answer);
  }

  /** Nothing will be answered any more. */
  close(): void {
    this.#closed = true;
    for (const answered of this.#asked.values()) answered(null);
    this.#asked.clear();
  }

  /** Null when there is no answer within `timeoutMs`, or too much is being asked already. */
  #ask(question: Question["question"], timeoutMs: number): Promise<Answer | null> {
    if (this.#closed || this.#asked.size >= MAX_QUESTIONS) return Promise.resolve(null);
    const questionId = ++this.#last;
    return new Promise((resolve) => {
      const cancel = this.#clock.after(timeoutMs, () => {
        this.#asked.delete(questionId);
        resolve(null);
      });
      this.#asked.set(questionId, (answer) => {
        cancel();
        resolve(answer);
      });
      this.#send({ questionId, question });
    });
  }
}

/** Asked of one process at once. */
const MAX_QUESTIONS = 64;
