/** node:tls, loaded when the first connection needs it: it holds 5 MB, which a process that speaks plain text never uses. */
export function tlsModule(): typeof import("node:tls") {
  return process.getBuiltinModule("node:tls");
}
