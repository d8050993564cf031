import { hostPort } from "../core/address.ts";
import { parseAddress } from "./address.ts";

/** A listener of the gateway beside HTTP, as it is written: "tcp:5432", "udp:0.0.0.0:53", "tls:8443". */
export interface SessionListener {
  readonly name: string;
  readonly protocol: "TCP" | "UDP" | "TLS";
  readonly host: string;
  readonly port: number;
}

/** Null when it is not written so. */
export function parseSessionListener(name: string, text: string): SessionListener | null {
  const match = /^(tcp|udp|tls):(.+)$/i.exec(text);
  const address = match === null ? null : parseAddress(match[2]);
  if (match === null || address === null) return null;
  return { name, protocol: match[1].toUpperCase() as SessionListener["protocol"], ...address };
}

/** As parseSessionListener reads it, with its name: "db=tcp:127.0.0.1:5432". */
export function sessionListenerText({ name, protocol, host, port }: SessionListener): string {
  return `${name}=${protocol.toLowerCase()}:${hostPort(host, port)}`;
}

/** What a route calls a listener. */
export const LISTENER_NAME: RegExp = /^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/;
