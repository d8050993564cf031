import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { createCertificate, encodePem } from "../core/certificate.ts";
import type { IdentityMaterial, IdentitySource } from "../core/identity.ts";

/** An authority and identities for tests, made on the spot. */
export class TestAuthority {
  readonly system: string;
  readonly certificate: Buffer;
  readonly privateKey: KeyObject;

  constructor(system = "shop") {
    this.system = system;
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.privateKey = privateKey;
    const now = Date.now();
    this.certificate = createCertificate(
      {
        publicKey,
        commonName: `${system} test authority`,
        organization: system,
        uri: `spiffe://${system}`,
        notBeforeMs: now - HOUR_MS,
        notAfterMs: now + HOUR_MS,
        authority: true,
      },
      privateKey,
    );
  }

  get trust(): string {
    return encodePem(this.certificate);
  }

  /** Material for `spiffe://SYSTEM/service`; `uri` says something else, `lifetimeMs` below 0 has expired. */
  issue(service: string, { uri = `spiffe://${this.system}/${service}`, lifetimeMs = HOUR_MS } = {}): IdentityMaterial {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const now = Date.now();
    const notAfterMs = now + lifetimeMs;
    const leaf = createCertificate(
      {
        publicKey,
        commonName: service,
        organization: this.system,
        uri,
        notBeforeMs: now - 2 * HOUR_MS,
        notAfterMs,
        authority: false,
      },
      { certificate: this.certificate, privateKey: this.privateKey },
    );
    return {
      certificate: encodePem(leaf),
      privateKey: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
      trust: this.trust,
      notAfterMs,
    };
  }

  identity(service: string): TestIdentity {
    return new TestIdentity(`spiffe://${this.system}/${service}`, this.issue(service));
  }
}

export class TestIdentity implements IdentitySource {
  readonly id: string;
  current: IdentityMaterial;
  readonly #listeners = new Set<() => void>();

  constructor(id: string, current: IdentityMaterial) {
    this.id = id;
    this.current = current;
  }

  replace(material: Partial<IdentityMaterial>): void {
    this.current = { ...this.current, ...material };
    for (const listener of this.#listeners) listener();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

const HOUR_MS = 3_600_000;
