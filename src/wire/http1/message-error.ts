/** A message that breaks the rules of RFC 9110 or 9112, thrown by the parsers and caught by the connection machines. */
export class MessageError extends Error {
  override readonly name = "MessageError";
  /** What a server answers with; NO_ANSWER when it should only close. */
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export const NO_ANSWER = 0;
