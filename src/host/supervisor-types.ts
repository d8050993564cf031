/** What a unit is: one service in one version, the gateway, or the control plane. */
export interface UnitSpec {
  /** "products@v1". Unique. */
  readonly name: string;
  /** Instance ids are `<prefix>-<number>`. Unique. */
  readonly prefix: string;
  readonly replicas: number;
  /** Names of units that must be ready first and that stop after it. No cycles. */
  readonly needs: readonly string[];
  readonly readyTimeoutMs: number;
  readonly drainMs: number;
  readonly restart: "always" | "never";
  /** "recreate" for what cannot run twice: the old instance ends first, the new one takes its id. */
  readonly replace: "rolling" | "recreate";
  /** A unit each of whose instances has one of this beside it, `<instance>-<suffix>`, from before its start until after its end; then `replicas` is not looked at. */
  readonly beside?: { readonly unit: string; readonly suffix: string };
}

export interface SupervisorOptions {
  /** Default 250. */
  backoffMinMs?: number;
  /** Default 30,000. */
  backoffMaxMs?: number;
  /** An instance that was ready for so long starts its back-off anew. Default 10,000. */
  stableMs?: number;
  /** Exits without ever having been ready that end the start of the system. Default 3. */
  startAttempts?: number;
}

export type SupervisorPhase = "idle" | "starting" | "ready" | "stopping" | "stopped";
export type InstancePhase = "waiting" | "starting" | "ready" | "backoff" | "draining" | "killing" | "exited";

export interface Instance {
  readonly id: string;
  readonly unitName: string;
  readonly state: InstancePhase;
  /** When the present process was started, or the present state began. */
  readonly since: number;
  readonly restarts: number;
  /** Why it ended last; "" when it never did. */
  readonly lastReason: string;
}

export type NoticeType =
  | "starting"
  | "ready"
  | "exited"
  | "crashed"
  | "restarting"
  | "draining"
  | "killing"
  | "replacing"
  | "replaced"
  | "replace-failed";

export type SupervisorEffect =
  | { readonly kind: "spawn"; readonly id: string; readonly unit: string }
  /** Ask it to drain and end (SIGTERM). */
  | { readonly kind: "terminate"; readonly id: string }
  | { readonly kind: "kill"; readonly id: string }
  /** Every instance is ready for the first time. */
  | { readonly kind: "ready" }
  | { readonly kind: "stopped"; readonly forced: boolean }
  /** For people and logs; `id` is "" when it is about the unit. */
  | {
      readonly kind: "notice";
      readonly type: NoticeType;
      readonly unit: string;
      readonly id: string;
      readonly text: string;
      readonly delayMs: number;
    };
