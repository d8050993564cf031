import { type Code, WeftError } from "../../core/errors.ts";

/** An error of the client, or of the server (with an SQLSTATE), as one of ours. */
export function fromPostgres(thrown: unknown): WeftError {
  if (thrown instanceof WeftError) return thrown;
  const error = thrown as Error & { code?: string };
  const [code, reason] = codeOf(error.code ?? "");
  const text = error.message || error.code || "it failed";
  return new WeftError(code, text, { reason, cause: error });
}

function codeOf(state: string): [Code, string] {
  // SQLSTATEs: PostgreSQL's documentation, appendix A.
  if (!/^[0-9A-Z]{5}$/.test(state)) return ["unavailable", "POSTGRES_AWAY"];
  if (state.startsWith("28")) return ["unauthenticated", "POSTGRES_LOGIN_REFUSED"];
  if (state === "42501") return ["permission_denied", "POSTGRES_RIGHT_MISSING"];
  if (state === "3D000") return ["failed_precondition", "POSTGRES_DATABASE_MISSING"];
  // Not there yet, or not any more: whoever connects makes them.
  if (state === "42P01" || state === "42883" || state === "3F000") return ["unavailable", "POSTGRES_TABLES_MISSING"];
  // Connections, shutting down and starting up, resources, time-outs, and what was rolled back for others' sake.
  if (/^(?:08|40|53|55|57|58)/.test(state) || state === "25006") return ["unavailable", "POSTGRES_AWAY"];
  return ["internal", "POSTGRES_REFUSED"];
}
