import { connect as connectTcp } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { encodePem } from "../../src/core/certificate.ts";
import type { IdentityMaterial } from "../../src/core/identity.ts";
import { TestAuthority } from "../../src/net/identity.case.ts";

/** What somebody makes who has heard of the system. */
export function selfSigned(system: string, uri: string): IdentityMaterial {
  const own = new TestAuthority(system);
  const material = own.issue("web", { uri });
  return { ...material, certificate: material.certificate + encodePem(own.certificate) };
}

/** What a raw TLS client gets for a request; "" for nothing. */
export function overTls(
  port: number,
  material: IdentityMaterial | null,
  head: string,
  path = "/healthz",
): Promise<string> {
  const options: ConnectionOptions = {
    port,
    host: "127.0.0.1",
    ALPNProtocols: ["http/1.1"],
    rejectUnauthorized: false,
    ...(material && { cert: material.certificate, key: material.privateKey }),
  };
  return answerOf(connectTls(options), head, path);
}

/** The same over plain text. */
export function inPlain(port: number, head: string): Promise<string> {
  return answerOf(connectTcp({ port, host: "127.0.0.1" }), head, "/healthz");
}

/** When the certificate that a server shows at the moment expires, epoch ms. */
export function shownUntil(port: number, { certificate, privateKey }: IdentityMaterial): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      ...{ port, host: "127.0.0.1", ALPNProtocols: ["h2"], rejectUnauthorized: false },
      ...{ cert: certificate, key: privateKey },
    });
    socket.once("secureConnect", () => {
      resolve(socket.getPeerX509Certificate()?.validToDate.getTime() ?? 0);
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

function answerOf(socket: ReturnType<typeof connectTcp>, head: string, path: string): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    socket.setTimeout(3_000, () => socket.destroy());
    socket.write(`GET ${path} HTTP/1.1\r\nhost: orders\r\n${head}connection: close\r\n\r\n`);
    socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
    socket.on("error", () => {});
    socket.on("close", () => resolve(text));
  });
}
