import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";

export interface OriginalDestination {
  readonly host: string;
  readonly port: number;
}

/**
 * Where connections that were redirected to us (NAT of this network namespace) were to go, asked of the kernel's table of connections: Node cannot read
 * SO_ORIGINAL_DST. One reading answers all that wait for it.
 */
export class OriginalDestinations {
  #reading: Promise<ReadonlyMap<string, OriginalDestination>> | null = null;

  /** `source`: the client's end of the connection, as a peer's address is written ("10.0.0.7:40123", "[::1]:40123"). Null: not known. Never rejects. */
  async of(source: string): Promise<OriginalDestination | null> {
    const reading = this.#reading;
    // One that is under way may have passed over what is new.
    if (reading !== null) {
      const found = (await reading).get(source);
      if (found !== undefined) return found;
    }
    this.#reading ??= readTable().finally(() => {
      this.#reading = null;
    });
    return (await this.#reading).get(source) ?? null;
  }
}

async function readTable(): Promise<ReadonlyMap<string, OriginalDestination>> {
  const text = await readFile("/proc/net/nf_conntrack", "utf8").catch(() => conntrackList());
  return parseConntrack(text);
}

/** Kernels without the file have the same by netlink, which this tool speaks. */
function conntrackList(): Promise<string> {
  return new Promise((resolve) => {
    execFile("conntrack", ["-L", "-p", "tcp"], { timeout: 2_000, maxBuffer: 64 << 20 }, (_error, out) => resolve(out));
  });
}

/**
 * By the client's end, of the TCP connections that were redirected:
 *
 *     ... tcp 6 119 ESTABLISHED src=10.0.0.7 dst=93.184.216.34 sport=40123 dport=443 src=127.0.0.1 dst=10.0.0.7 sport=15001 dport=40123 ...
 *                                '------------ as it was begun -----------------'    '----------- whence answers come -----------'
 */
export function parseConntrack(text: string): ReadonlyMap<string, OriginalDestination> {
  const found = new Map<string, OriginalDestination>();
  for (const line of text.split("\n")) {
    const match = REDIRECTED.exec(line);
    if (match === null) continue;
    const [, source, host, sourcePort, port, answerHost, answerPort] = match;
    const redirected = plain(answerHost) !== plain(host) || answerPort !== port;
    if (redirected) found.set(`${bracketed(plain(source))}:${sourcePort}`, { host: plain(host), port: Number(port) });
  }
  return found;
}

const REDIRECTED = /\btcp\b.*? src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) .*?src=(\S+) dst=\S+ sport=(\d+) dport=\d+/;

/** The table writes IPv6 addresses in full: "0000:...:0001" -> "::1", as sockets tell them. */
function plain(address: string): string {
  return address.includes(":") ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address;
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
