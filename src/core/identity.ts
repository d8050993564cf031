/**
 * Who this process is to others, by mutual TLS: a SPIFFE id with a short-lived certificate that is replaced while connections stay.
 *
 * The line to the control plane makes one (link/), listeners and pools of net/ use it. `current` is replaced as a whole, so that what was made from it can be
 * kept by reference.
 */
export interface IdentitySource {
  /** "spiffe://shop/orders" */
  readonly id: string;
  readonly current: IdentityMaterial;
  /** Told after `current` was replaced: by a rotation, or because others are to be trusted. Returns how to stop listening. */
  onChange(listener: () => void): () => void;
}

export interface IdentityMaterial {
  /** PEM, the process's own certificate first, then its chain. */
  readonly certificate: string;
  /** PEM (PKCS #8). In memory only. */
  readonly privateKey: string;
  /** PEM of the authorities that others' certificates must chain to. */
  readonly trust: string;
  /** Epoch ms. */
  readonly notAfterMs: number;
}

/** How a service takes calls from the mesh: "strict" mutual TLS alone, "permissive" plain text too, "off" plain text alone. */
export type MutualTls = "strict" | "permissive" | "off";

/** "spiffe://shop/orders" */
export function spiffeId(system: string, service: string): string {
  return `spiffe://${system}/${service}`;
}
