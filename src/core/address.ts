/** "127.0.0.1:80", "[::1]:80" */
export function hostPort(host: string, port: number): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** "10.0.0.7:9000", "[::1]:9000", "orders.local:9000": both parts are there. Null for anything else. */
export function parseHostPort(text: string): { readonly host: string; readonly port: number } | null {
  const match = /^(?:\[([^\]]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const port = match === null ? -1 : Number(match[3]);
  return match === null || port > 65_535 ? null : { host: match[1] ?? match[2], port };
}

/** 0 where there is none. */
export function portOfAddress(address: string): number {
  const port = Number(address.slice(address.lastIndexOf(":") + 1));
  return Number.isInteger(port) && port >= 0 && port <= 65_535 ? port : 0;
}
