import { WeftError } from "../../core/errors.ts";
import type { JoinTokens } from "./join-tokens.ts";

/** Request fields, as a server call has them. */
interface RequestFields {
  get(name: string): string | undefined;
}

/** Throws `unauthenticated` (NOT_OPERATOR) unless a request shows the operator's token: `authorization: Bearer TOKEN`. */
export function assertOperator(fields: RequestFields, tokens: Pick<JoinTokens, "isOperator">): void {
  const shown = fields.get("authorization") ?? "";
  if (shown.startsWith("Bearer ") && shown.length <= 512 && tokens.isOperator(shown.slice(7))) return;
  throw new WeftError(
    "unauthenticated",
    "the operator's token is needed: the file operator-token in the control plane's data folder holds it (--data, or WEFT_OPERATOR_TOKEN)",
    { reason: "NOT_OPERATOR" },
  );
}
