import { WeftError } from "../core/errors.ts";
import { formatAddress } from "./peer.ts";

/** Why one cannot listen: "failed_precondition", PORT_IN_USE, PORT_FORBIDDEN, ADDRESS_UNKNOWN or LISTEN_FAILED. */
export function listenError(host: string, port: number, error: NodeJS.ErrnoException): WeftError {
  const where = formatAddress(host, port);
  if (error.code === "EADDRINUSE") {
    const help = `stop what listens there (ss -lntup 'sport = :${port}' shows it) or choose another port`;
    return new WeftError("failed_precondition", `port ${port} is in use: cannot listen on ${where}; ${help}`, {
      reason: "PORT_IN_USE",
      cause: error,
    });
  }
  if (error.code === "EACCES") {
    return new WeftError("failed_precondition", `not allowed to listen on ${where}; choose a port above 1023`, {
      reason: "PORT_FORBIDDEN",
      cause: error,
    });
  }
  if (error.code === "EADDRNOTAVAIL" || error.code === "ENOTFOUND") {
    return new WeftError(
      "failed_precondition",
      `${host} is no address of this machine; use 127.0.0.1, 0.0.0.0 or one of its own`,
      {
        reason: "ADDRESS_UNKNOWN",
        cause: error,
      },
    );
  }
  return new WeftError("failed_precondition", `cannot listen on ${where}: ${error.message}`, {
    reason: "LISTEN_FAILED",
    cause: error,
  });
}
