import { createHmac, timingSafeEqual } from "node:crypto";
import { type Check, list } from "../../policy/resource/shape.ts";
import type { ApiKeyConsumer, BasicUser } from "../../policy/security/authentication-resource.ts";
import { apiKeyConsumer, basicUser } from "../../policy/security/authentication-shape.ts";
import type { SecretAnswer, SecretQuestion } from "../../policy/security/questions.ts";
import { DUMMY_HASH, ScryptPool } from "../../policy/security/scrypt.ts";
import type { FileContent, Secrets } from "./secrets.ts";

/** Answers about secrets that are kept outside of resources: files of keys and of users, shared secrets of signatures, hashes of passwords. */
export class SecretChecker {
  readonly #secrets: Secrets;
  readonly #onProblem: (message: string) => void;
  readonly #scrypt = new ScryptPool();
  readonly #parsed = new WeakMap<FileContent, unknown>();
  readonly #open = new Map<string, Promise<SecretAnswer | null>>();

  constructor(secrets: Secrets, onProblem: (message: string) => void) {
    this.#secrets = secrets;
    this.#onProblem = onProblem;
  }

  /** Callers that ask the same at the same time wait for one answer. */
  check(key: string, question: SecretQuestion): Promise<SecretAnswer | null> {
    let open = this.#open.get(key);
    if (open === undefined) {
      open = this.#check(question).finally(() => this.#open.delete(key));
      this.#open.set(key, open);
    }
    return open;
  }

  #check(question: SecretQuestion): Promise<SecretAnswer | null> {
    switch (question.type) {
      case "api-key":
        return this.#apiKey(question);
      case "hmac":
        return this.#hmac(question);
      default:
        return this.#basic(question);
    }
  }

  async #apiKey({ file, sha256 }: SecretQuestion & { type: "api-key" }): Promise<SecretAnswer | null> {
    const consumers = await this.#list(file, list(apiKeyConsumer, 0, 100_000), (entries: readonly ApiKeyConsumer[]) => {
      const byDigest = new Map<string, ApiKeyConsumer>();
      for (const entry of entries) {
        for (const digest of typeof entry.sha256 === "string" ? [entry.sha256] : entry.sha256) {
          byDigest.set(digest.toLowerCase(), entry);
        }
      }
      return byDigest;
    });
    return consumers === null ? null : { consumer: consumers.get(sha256) ?? null };
  }

  async #hmac({ secret, base, signature }: SecretQuestion & { type: "hmac" }): Promise<SecretAnswer | null> {
    const key = await this.#secrets.secret(secret);
    if (key === null) return null;
    const right = createHmac("sha256", decodedSecret(key)).update(base).digest();
    const same = signature.length === right.length && timingSafeEqual(right, signature);
    return { consumer: same ? { name: "" } : null };
  }

  /** Somebody whom nobody knows costs as much time as a wrong password. */
  async #basic({ users, file, name, password }: SecretQuestion & { type: "basic" }): Promise<SecretAnswer | null> {
    let user = users.find((one) => one.name === name);
    if (user === undefined && file !== null) {
      const more = await this.#list(
        file,
        list(basicUser, 0, 100_000),
        (entries: readonly BasicUser[]) => new Map(entries.map((entry) => [entry.name, entry])),
      );
      if (more === null) return null;
      user = more.get(name);
    }
    const right = await this.#scrypt.verify(password, user?.password ?? DUMMY_HASH);
    if (right === null) return null;
    return {
      consumer: right && user !== undefined ? { name: user.name, ...(user.claims && { claims: user.claims }) } : null,
    };
  }

  /** A file's list, checked and indexed once for as long as it stays as it is; null when it cannot be had or is wrong. */
  async #list<Entry, Index>(
    path: string,
    check: Check,
    index: (entries: readonly Entry[]) => Index,
  ): Promise<Index | null> {
    const content = await this.#secrets.file(path);
    if (content === null) return null;
    if (!this.#parsed.has(content)) {
      const { parse } = await import("yaml");
      const problems: string[] = [];
      let value: unknown;
      try {
        value = parse(content.text) ?? [];
        check(value, [], (at, message) => problems.push(`${at.join(".")}: ${message}`));
      } catch {
        problems.push("it is no YAML"); // the parser's words may quote a secret
      }
      if (problems.length > 0) this.#onProblem(`${path} is not used: ${problems.slice(0, 3).join("; ")}`);
      this.#parsed.set(content, problems.length > 0 ? null : index(value as readonly Entry[]));
    }
    return this.#parsed.get(content) as Index | null;
  }
}

/** "base64:..." for secrets that are bytes. */
function decodedSecret(secret: string): Uint8Array {
  return secret.startsWith("base64:") ? Buffer.from(secret.slice(7), "base64") : Buffer.from(secret);
}
