import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { WeftError } from "../core/errors.ts";
import type { Json, SealedValue } from "./settings-state.ts";

/**
 * The keys by which values are sealed and unsealed: AES-256-GCM with a random nonce of 96 bits for each value (NIST SP 800-38D; a key may seal 2^32 values), bound to its namespace and key, so that
 * a sealed value cannot be moved to another place. The first key seals; each of them unseals what it sealed, which is how keys are rotated.
 */
export class SettingsKeys {
  readonly #keys: ReadonlyMap<string, Uint8Array>;
  /** By which values are sealed. */
  readonly first: string;

  /** "ID:BASE64,ID:BASE64", or a line each. Throws `invalid_argument` (BAD_SETTINGS_KEYS) that names `source` and shows nothing of the keys. */
  constructor(text: string, source: string) {
    const keys = new Map<string, Uint8Array>();
    for (const [index, part] of text
      .split(/[,\n]/)
      .map((one) => one.trim())
      .filter((one) => one !== "" && !one.startsWith("#"))
      .entries()) {
      const [, id = "", base64 = ""] = /^([A-Za-z0-9_-]{1,64}):([A-Za-z0-9+/_-]{43}=?)$/.exec(part) ?? [];
      const key = Buffer.from(base64, "base64");
      if (id === "" || key.length !== KEY_BYTES)
        throw bad(
          `${source}: key ${index + 1} is not ID:BASE64 of ${KEY_BYTES} bytes; \`weft settings keys new\` makes one`,
        );
      if (keys.has(id)) throw bad(`${source}: there are two keys called ${id}`);
      keys.set(id, key);
    }
    const [first] = keys.keys();
    if (first === undefined) throw bad(`${source}: there is no key; \`weft settings keys new\` makes one`);
    this.#keys = keys;
    this.first = first;
  }

  /** What only those with the key can read. */
  seal(namespace: string, key: string, value: Json): SealedValue {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv("aes-256-gcm", this.#keys.get(this.first) as Uint8Array, nonce);
    cipher.setAAD(place(namespace, key));
    const sealed = Buffer.concat([cipher.update(JSON.stringify(value), "utf8"), cipher.final(), cipher.getAuthTag()]);
    return { $sealed: `${this.first}.${nonce.toString("base64url")}.${sealed.toString("base64url")}` };
  }

  /** Throws `failed_precondition` (CANNOT_UNSEAL): the key is not there, or the value was sealed for another place, or changed since. */
  unseal(namespace: string, key: string, { $sealed }: SealedValue): Json {
    const at = `${namespace}/${key}`;
    const [id, nonceText = "", text = ""] = $sealed.split(".");
    const secret = this.#keys.get(id);
    if (secret === undefined)
      throw cannot(`${at} is sealed by the key "${id.slice(0, 64)}", which is not among WEFT_SETTINGS_KEYS`);
    const nonce = Buffer.from(nonceText, "base64url");
    const bytes = Buffer.from(text, "base64url");
    try {
      const decipher = createDecipheriv("aes-256-gcm", secret, nonce, { authTagLength: TAG_BYTES });
      decipher.setAAD(place(namespace, key));
      decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
      const plain = Buffer.concat([decipher.update(bytes.subarray(0, bytes.length - TAG_BYTES)), decipher.final()]);
      return JSON.parse(plain.toString("utf8")) as Json;
    } catch {
      throw cannot(
        `${at} cannot be unsealed by the key "${id.slice(0, 64)}": it was sealed for another place, by another key of that name, or it was changed since`,
      );
    }
  }
}

/** A new key for the list: "ID:BASE64". */
export function newSettingsKey(id: string): string {
  return `${id}:${randomBytes(KEY_BYTES).toString("base64")}`;
}

/** By which key a value is sealed. */
export function keyIdOf({ $sealed }: SealedValue): string {
  return $sealed.split(".", 1)[0];
}

/**
 * The keys of a process: WEFT_SETTINGS_KEYS, or those of WEFT_SETTINGS_KEYS_FILE, which nobody else may read. Null without either. Throws `invalid_argument` (BAD_SETTINGS_KEYS).
 */
export function readSettingsKeys(env: Readonly<Record<string, string | undefined>>): SettingsKeys | null {
  const { WEFT_SETTINGS_KEYS: text = "", WEFT_SETTINGS_KEYS_FILE: file = "" } = env;
  if (text !== "") return new SettingsKeys(text, "WEFT_SETTINGS_KEYS");
  if (file === "") return null;
  let read: string;
  try {
    const { mode } = statSync(file);
    if ((mode & 0o077) !== 0)
      throw bad(`WEFT_SETTINGS_KEYS_FILE: others can read or write ${file}; run chmod 600 ${file}`);
    read = readFileSync(file, "utf8");
  } catch (cause) {
    if (cause instanceof WeftError) throw cause;
    throw bad(`WEFT_SETTINGS_KEYS_FILE: ${file} cannot be read: ${(cause as Error).message}`);
  }
  return new SettingsKeys(read, `WEFT_SETTINGS_KEYS_FILE (${file})`);
}

function place(namespace: string, key: string): Uint8Array {
  return Buffer.from(`${namespace}/${key}`, "utf8");
}

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

function bad(message: string): WeftError {
  return new WeftError("invalid_argument", message, { reason: "BAD_SETTINGS_KEYS" });
}

function cannot(message: string): WeftError {
  return new WeftError("failed_precondition", message, { reason: "CANNOT_UNSEAL" });
}
