import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { Cancel, Clock } from "../../core/clock.ts";
import { toWeftError, WeftError } from "../../core/errors.ts";
import { assertServiceName } from "../../registry/validate.ts";
import { processRuntime, type Runtime } from "../runtime.ts";
import { LiveSettings, liveOf } from "./live-settings.ts";
import { shapeOf } from "./settings-shape.ts";
import type { StandardSchema } from "./standard-schema.ts";

export interface SettingsOptions {
  /** Default: the service's own (WEFT_SERVICE). */
  namespace?: string;
  /** How long the control plane may take at the start, ms, when nothing is on disk. Default 10,000. */
  timeoutMs?: number;
  /** Default: the runtime of the process. */
  runtime?: Runtime;
}

/**
 * The settings of a namespace: an object whose properties are the newest values in force, checked by a schema. It changes by itself when they are published; values that the schema refuses are
 * reported to the control plane, and the ones before stay. It can be enumerated and written as JSON, and not be changed; `snapshotOf` gives values that belong together, `onSettingsChange` tells
 * when they are others.
 *
 * `schema`: a Standard Schema (of zod, valibot, arktype), a generated message of Protocol Buffers, or a JSON Schema, whose type is given: `settings<{ maxItems: number }>({ ... })`. Defaults are the
 * schema's.
 *
 * Without a control plane the defaults are all there is. While it is away the last values that were in force are taken from WEFT_STATE_FILE. Rejects `failed_precondition`: NO_CONTROL_PLANE (and the
 * defaults do not suffice), SETTINGS_REFUSED (the first values are wrong, and none are on disk); `unavailable` when there are none after `timeoutMs`; `permission_denied`.
 */
export async function settings<Output extends object>(
  schema: StandardSchema<Output>,
  options?: SettingsOptions,
): Promise<Readonly<Output>>;
export async function settings<D extends DescMessage>(
  schema: D,
  options?: SettingsOptions,
): Promise<Readonly<MessageShape<D>>>;
export async function settings<Values extends object = Readonly<Record<string, unknown>>>(
  schema: JsonSchemaObject,
  options?: SettingsOptions,
): Promise<Readonly<Values>>;
export async function settings(schema: unknown, options: SettingsOptions = {}): Promise<object> {
  const { runtime = processRuntime(), timeoutMs = 10_000 } = options;
  const namespace = options.namespace ?? runtime.settings.service;
  if (namespace === "")
    throw new WeftError(
      "invalid_argument",
      'whose settings? Set WEFT_SERVICE to the name of the service, or say it: settings(Schema, { namespace: "orders" })',
      { reason: "NO_NAMESPACE" },
    );
  assertServiceName(namespace, "namespace");
  const shape = await shapeOf(schema);
  const live = new LiveSettings(
    namespace,
    shape,
    () => runtime.settingsKeys(),
    (line) => console.error(`weft: ${line}`),
  );
  const source = runtime.settingsSource ?? runtime.link()?.settings ?? null;
  if (source === null) {
    if ((await live.take({ revision: 0, values: {}, grays: [] })) === "") return live.view;
    throw new WeftError(
      "failed_precondition",
      `the settings of ${namespace} cannot be had: there is no control plane, and the defaults do not suffice: ${live.refusal}. Run the process under \`weft up\`, or set WEFT_CONTROL`,
      { reason: "NO_CONTROL_PLANE" },
    );
  }
  // The line itself keeps no process alive; somebody waits for this.
  const hold = setInterval(() => {}, 60_000);
  try {
    const { schema, message } = shape;
    const follow = () => source.follow({ namespace, schema, message, take: (known) => live.take(known) }, timeoutMs);
    // Who it is, the control plane wants to know first. While that is away, what is on disk needs no proof.
    const proven = runtime.identity();
    proven.catch(() => {}); // said below
    const saved = await source.saved(namespace);
    if (saved !== null && !(await isDone(proven, runtime.clock, Math.min(timeoutMs, AWAY_MS)))) {
      if ((await live.take(saved)) === "") {
        console.error(
          `weft: settings of ${namespace}: no control plane yet, those of revision ${saved.revision} on disk are used`,
        );
        proven.then(follow).catch((thrown) => {
          console.error(`weft: settings of ${namespace} stay as they are: ${toWeftError(thrown).message}`);
        });
        return live.view;
      }
    }
    if (!(await isDone(proven, runtime.clock, timeoutMs)))
      throw new WeftError("unavailable", `no control plane said within ${timeoutMs} ms who this process is`, {
        reason: "CONTROL_UNREACHABLE",
      });
    await follow();
    if (live.inForce) return live.view;
    const { refusal } = live;
    if (saved !== null && (await live.take(saved)) === "") {
      console.error(
        `weft: settings of ${namespace} are refused, those of revision ${saved.revision} on disk are used: ${refusal}`,
      );
      return live.view;
    }
    throw new WeftError(
      "failed_precondition",
      `the settings of ${namespace} cannot be used: ${refusal}. \`weft settings get ${namespace}\` shows them`,
      { reason: "SETTINGS_REFUSED" },
    );
  } catch (thrown) {
    const error = toWeftError(thrown);
    if (error.code !== "unavailable") throw thrown;
    const onDisk =
      runtime.settings.stateFile === ""
        ? "nothing is kept on disk (WEFT_STATE_FILE)"
        : `${runtime.settings.stateFile} has none`;
    throw new WeftError("unavailable", `the settings of ${namespace} cannot be had: ${error.message}; ${onDisk}`, {
      reason: error.reason,
      cause: thrown,
    });
  } finally {
    clearInterval(hold);
  }
}

/** Whether a promise is resolved in time; rejects as it does. */
async function isDone(promise: Promise<unknown>, clock: Clock, timeoutMs: number): Promise<boolean> {
  let cancel: Cancel = () => {};
  const late = new Promise<boolean>((resolve) => {
    cancel = clock.after(timeoutMs, () => resolve(false));
  });
  return Promise.race([promise.then(() => true), late]).finally(() => cancel());
}

/** How long a process waits for the control plane that has values on disk, ms. */
const AWAY_MS = 2_000;

/** The values in force now, whole: they belong together and never change. `values`: what settings() gave. */
export function snapshotOf<T extends object>(values: T): T {
  return liveOf(values).now as T;
}

/** Tells when values are others, once they are in force, with those before. Returns what ends it. `values`: what settings() gave. */
export function onSettingsChange<T extends object>(values: T, listener: (now: T, before: T) => void): () => void {
  return liveOf(values).onChange(listener as (now: object, before: object) => void);
}

/** A JSON Schema, draft 2020-12, of an object. */
export type JsonSchemaObject = Readonly<Record<string, unknown>> & {
  readonly "~standard"?: never;
  readonly kind?: never;
};
