import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { type CryptoKey, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";

/** An issuer of tokens on loopback with real keys: a key set that can be rotated and taken away, and what a test adds. */
export interface IdProvider {
  readonly url: string;
  /** Fetches of the key set so far. */
  fetches: number;
  /** Answers of the key set fail while true. */
  down: boolean;
  cacheControl: string;
  /** A new key, which signs from now on; the old ones stay published unless `alone`. */
  rotate(alone?: boolean): Promise<string>;
  token(claims?: JWTPayload, changes?: TokenChanges): Promise<string>;
  /** Answers whatever is not the key set. */
  serve: (request: IncomingMessage, response: ServerResponse, body: string) => void;
}

export interface TokenChanges {
  algorithm?: string;
  keyId?: string | null;
  key?: CryptoKey | Uint8Array;
  type?: string;
  expiresIn?: number | null;
}

export async function startIdProvider(t: TestContext): Promise<IdProvider> {
  const keys: { kid: string; privateKey: CryptoKey; jwk: object }[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      if (request.url !== "/keys") return provider.serve(request, response, Buffer.concat(chunks).toString());
      provider.fetches++;
      if (provider.down) return response.writeHead(503).end("{}");
      response.writeHead(200, { "content-type": "application/json", "cache-control": provider.cacheControl });
      response.end(JSON.stringify({ keys: keys.map(({ jwk }) => jwk) }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const provider: IdProvider = {
    url,
    fetches: 0,
    down: false,
    cacheControl: "max-age=600",
    serve: (_request, response) => response.writeHead(404).end(),
    async rotate(alone = false) {
      const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
      const kid = `key-${keys.length + 1}-${Math.trunc(performance.now() * 1000)}`;
      if (alone) keys.length = 0;
      keys.push({ kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: "ES256", use: "sig" } });
      return kid;
    },
    async token(claims = {}, { algorithm = "ES256", keyId, key, type, expiresIn = 300 } = {}) {
      const newest = keys[keys.length - 1];
      const kid = keyId === null ? {} : { kid: keyId ?? newest.kid };
      const made = new SignJWT({ sub: "user-9", ...claims }).setProtectedHeader({
        alg: algorithm,
        ...kid,
        ...(type && { typ: type }),
      });
      if (claims.iss === undefined) made.setIssuer(url);
      if (expiresIn !== null) made.setExpirationTime(Math.floor(Date.now() / 1000) + expiresIn);
      return made.sign(key ?? newest.privateKey);
    },
  };
  await provider.rotate();
  return provider;
}
