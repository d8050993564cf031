import type { X509Certificate } from "node:crypto";
import { pinOf } from "../core/control-pin.ts";
import { WeftError } from "../core/errors.ts";
import { tlsModule } from "./tls-module.ts";

export interface PinnedTrustOptions {
  readonly host: string;
  readonly port: number;
  /** Digests of roots: `pinOf`. */
  readonly pins: readonly string[];
  readonly timeoutMs: number;
  /** Whoever waits for it alone does not keep the process alive. */
  readonly background: boolean;
}

/**
 * The roots, PEM, that a server shows and that are pinned: for who knows digests alone, and wants to verify the connections that follow. Nothing is sent on this one but the
 * handshake, and nothing that it says is believed but certificates that have a pinned key: whoever is in the middle can show those, too, and gains nothing by it, since the
 * next handshake needs a key that they signed for.
 *
 * Rejects `unauthenticated`, reason CONTROL_NOT_PROVEN, when it shows others; `unavailable` when there is no TLS to be had.
 */
export function pinnedTrust({ host, port, pins, timeoutMs, background }: PinnedTrustOptions): Promise<string> {
  const at = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  return new Promise((resolve, reject) => {
    const socket = tlsModule().connect({
      host,
      port,
      minVersion: "TLSv1.3",
      ALPNProtocols: ["h2"],
      servername: "",
      rejectUnauthorized: false, // it is the next connection that is judged
      checkServerIdentity: () => undefined,
    });
    const fail = (error: WeftError): void => {
      clearTimeout(timer);
      socket.on("error", ignore);
      socket.destroy();
      reject(error);
    };
    const timer = setTimeout(() => fail(unavailable(`${at} did not answer in TLS within ${timeoutMs} ms`)), timeoutMs);
    if (background) {
      socket.unref();
      timer.unref();
    }
    socket.once("error", (error: NodeJS.ErrnoException) => {
      const plain = error.code === "ERR_SSL_WRONG_VERSION_NUMBER" || error.code === "ERR_SSL_PACKET_LENGTH_TOO_LONG";
      const why = plain ? "it does not speak TLS" : error.message;
      fail(unavailable(`${at} cannot be reached: ${why}`, error));
    });
    socket.once("close", () => fail(unavailable(`${at} closed the connection in the handshake`)));
    socket.once("secureConnect", () => {
      const shown = chainOf(socket.getPeerX509Certificate());
      const roots = shown.filter((each) => each.checkIssued(each) && each.verify(each.publicKey) && isPinned(each));
      if (roots.length === 0)
        return fail(
          new WeftError(
            "unauthenticated",
            `${at} does not prove to be the control plane that the token (or pin) is for: it shows none of the roots that are named there`,
            { reason: "CONTROL_NOT_PROVEN" },
          ),
        );
      clearTimeout(timer);
      socket.removeAllListeners("close");
      socket.on("error", ignore);
      // In order, so that the server's own end of the handshake comes to its end, too.
      socket.end();
      socket.resume();
      setTimeout(() => socket.destroy(), timeoutMs).unref();
      resolve(roots.map((root) => root.toString()).join(""));
    });
  });

  function isPinned(certificate: X509Certificate): boolean {
    return pins.includes(pinOf(certificate));
  }
}

/** All that was shown, in that order. */
function chainOf(leaf: X509Certificate | undefined): X509Certificate[] {
  const chain: X509Certificate[] = [];
  for (let at = leaf; at !== undefined && chain.length < MAX_CHAIN; at = at.issuerCertificate) chain.push(at);
  return chain;
}

function unavailable(message: string, cause?: Error): WeftError {
  return new WeftError("unavailable", message, { reason: "CONTROL_UNREACHABLE", retryable: true, cause });
}

function ignore(): void {}

const MAX_CHAIN = 64;
