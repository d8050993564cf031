/** What a client is asked to do, and what it says. */
export type Asked =
  | {
      readonly kind: "weft";
      readonly address: string;
      readonly count: number;
      readonly from: number;
      readonly inFlight: number;
    }
  | { readonly kind: "etcd" | "consul"; readonly address: string; readonly count: number; readonly from: number }
  | { readonly kind: "subscribe"; readonly address: string; readonly each: number }
  | { readonly kind: "hear"; readonly port: number }
  | { readonly kind: "beat"; readonly seconds: number }
  | { readonly kind: "close" };

export interface Done {
  readonly ms?: number;
  readonly latencies?: readonly number[];
  readonly failure?: string;
  /** It listens; the answer comes later. */
  readonly ready?: boolean;
}

export const CONNECTIONS = 100;
export const SERVICES = 1_000;
