import type { KeptRoot, PastRoot } from "./authority-file.ts";

export interface KeptAuthority {
  readonly roots: readonly KeptRoot[];
  readonly past: readonly PastRoot[];
}

/** Where an authority's roots are kept: in files of one control plane (AuthorityFile), or in the store of several (SharedAuthority). */
export interface AuthorityKeeper {
  /** Several control planes change it: one writes what follows from what it read last, and the others follow. */
  readonly shared: boolean;
  /** Null when there is none yet. Rejects `failed_precondition` for what cannot be used: it is never written over. */
  read(system: string): Promise<KeptAuthority | null>;
  /** False: somebody else was first, and nothing was changed. */
  write(system: string, roots: readonly KeptRoot[], past: readonly PastRoot[]): Promise<boolean>;
  /** For who makes join tokens or asks the control plane from here: the authorities that are trusted now. */
  writeTrust(pem: string): Promise<void>;
  /** Told of what another one wrote. */
  watch(listener: (kept: KeptAuthority) => void): { close(): void };
}
