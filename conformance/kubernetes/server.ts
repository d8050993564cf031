import { spawnSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { EtcdServer } from "../etcd/server.ts";
import { freePort } from "../free-port.ts";
import { ServerProcess } from "../server-process.ts";
import { tool } from "../tools.ts";

/** A real kube-apiserver over a real etcd, on free ports of 127.0.0.1, that can be hurt: both of them are. */
export class KubernetesServer extends ServerProcess {
  readonly #etcd: EtcdServer;
  readonly #namespaces = new Set<string>();

  /** `users`: more users of it than "admin"; their tokens are their names. */
  static async start(users: readonly string[] = []): Promise<KubernetesServer> {
    const server = new KubernetesServer(await freePort(), await EtcdServer.start(), users);
    await server.#boot();
    return server;
  }

  private constructor(port: number, etcd: EtcdServer, users: readonly string[]) {
    super("Kubernetes", port);
    this.#etcd = etcd;
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2_048 });
    writeFileSync(this.#file("sa.key"), privateKey.export({ type: "pkcs8", format: "pem" }));
    writeFileSync(this.#file("sa.pub"), publicKey.export({ type: "spki", format: "pem" }));
    const lines = ["admin,admin,admin,system:masters", ...users.map((user) => `${user},${user},${user}`)];
    writeFileSync(this.#file("tokens.csv"), lines.map((line) => `${line}\n`).join(""));
    for (const user of ["admin", ...users]) writeFileSync(this.tokenFile(user), `${user}\n`);
    const made = ["-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=clients", "-days", "2"];
    this.#openssl("req", ...made, "-keyout", "clients.key", "-out", "clients.crt");
  }

  /** Whom its certificate is to be proved by. */
  get ca(): string {
    return this.#file("apiserver.crt");
  }

  tokenFile(user = "admin"): string {
    return this.#file(`${user}.token`);
  }

  /** The url of a namespace, by way of `address`. */
  url(namespace: string, address = this.address, user = "admin"): string {
    return `kubernetes://${address}/${namespace}?token-file=${this.tokenFile(user)}&ca=${this.ca}`;
  }

  /** A client certificate of a user, and its key: files. */
  clientCertificate(user: string): { cert: string; key: string } {
    const request = ["-newkey", "rsa:2048", "-nodes", "-subj", `/CN=${user}`];
    this.#openssl("req", ...request, "-keyout", `${user}.key`, "-out", `${user}.csr`);
    const by = ["-CA", "clients.crt", "-CAkey", "clients.key", "-CAcreateserial", "-days", "2"];
    this.#openssl("x509", "-req", "-in", `${user}.csr`, ...by, "-out", `${user}.crt`);
    return { cert: this.#file(`${user}.crt`), key: this.#file(`${user}.key`) };
  }

  async start(): Promise<void> {
    await this.#etcd.start();
    await this.#boot();
    for (const name of this.#namespaces) await this.#createNamespace(name);
  }

  /** It is there again, too, when data were lost. */
  async namespace(name: string): Promise<void> {
    this.#namespaces.add(name);
    await this.#createNamespace(name);
  }

  async #createNamespace(name: string): Promise<void> {
    const made = await this.call("POST", "/api/v1/namespaces", { metadata: { name } });
    if (made.status !== 201 && made.status !== 409) throw new Error(`namespace ${name}: ${made.status}`);
  }

  /** Something that a person asks by kubectl. */
  // biome-ignore lint/suspicious/noExplicitAny: tests read of an answer what they expect there
  async call(method: string, path: string, body?: unknown, token = "admin"): Promise<{ status: number; body: any }> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    return await new Promise((resolve, reject) => {
      const headers = {
        authorization: `Bearer ${token}`,
        ...(text !== undefined && { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
      };
      const asked = request(
        { host: "127.0.0.1", port: this.port, method, path, headers, ca: readFileSync(this.ca), timeout: 10_000 },
        (response) => {
          let answer = "";
          response.setEncoding("utf8").on("data", (more) => {
            answer += more;
          });
          response.on("end", () => {
            const json = response.headers["content-type"]?.startsWith("application/json") && JSON.parse(answer);
            resolve({ status: response.statusCode ?? 0, body: json });
          });
          response.on("error", reject);
        },
      );
      asked.on("timeout", () => asked.destroy(new Error("no answer in 10 s")));
      asked.on("error", reject);
      asked.end(text);
    });
  }

  override async kill(): Promise<void> {
    await super.kill();
    await this.#etcd.kill();
  }

  override pause(): void {
    super.pause();
    this.#etcd.pause();
  }

  override resume(): void {
    this.#etcd.resume();
    super.resume();
  }

  override lose(): void | Promise<void> {
    return this.#etcd.lose();
  }

  override async stop(): Promise<void> {
    await super.stop();
    await this.#etcd.stop();
  }

  #openssl(...args: string[]): void {
    const { status, stderr } = spawnSync("openssl", args, { cwd: this.folder, encoding: "utf8" });
    if (status !== 0) throw new Error(`openssl ${args[0]}: ${stderr}`);
  }

  #file(name: string): string {
    return join(this.folder, name);
  }

  async #boot(): Promise<void> {
    const where = ["--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1", "--secure-port", `${this.port}`];
    const accounts = ["--service-account-issuer", "https://kubernetes.default.svc"];
    accounts.push("--service-account-key-file", this.#file("sa.pub"));
    accounts.push("--service-account-signing-key-file", this.#file("sa.key"));
    const rights = ["--token-auth-file", this.#file("tokens.csv"), "--authorization-mode", "RBAC"];
    rights.push("--client-ca-file", this.#file("clients.crt"));
    const more = ["--cert-dir", this.folder, "--service-cluster-ip-range", "10.0.0.0/24"];
    more.push("--disable-admission-plugins", "ServiceAccount", "--etcd-servers", `http://${this.#etcd.address}`);
    const ready = async (): Promise<boolean> => (await this.call("GET", "/readyz").catch(() => null))?.status === 200;
    await this.launch(tool("kube-apiserver"), [...where, ...accounts, ...rights, ...more], { ready, withinMs: 60_000 });
  }
}
