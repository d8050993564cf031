import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { findCluster } from "./cluster-access.ts";
import { readKubeconfig } from "./kubeconfig.ts";
import { parseKubernetesUrl } from "./kubernetes-url.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-kubeconfig-"));
after(() => rmSync(folder, { recursive: true }));

let files = 0;
function file(text: string): string {
  const path = join(folder, `config-${++files}`);
  writeFileSync(path, text);
  return path;
}

const CONFIG = `
apiVersion: v1
kind: Config
current-context: dev
contexts:
  - { name: dev, context: { cluster: here, user: me, namespace: shop } }
  - { name: other, context: { cluster: there, user: app } }
clusters:
  - { name: here, cluster: { server: "https://10.0.0.1:6443/k8s/c-1", certificate-authority-data: Q0E=, tls-server-name: api } }
  - { name: there, cluster: { server: "https://[fd00::1]", certificate-authority: ca.pem } }
users:
  - { name: me, user: { client-certificate-data: Q0VSVA==, client-key-data: S0VZ } }
  - { name: app, user: { tokenFile: token } }
`;

test("the current context is read: server, authorities, client certificate, namespace", () => {
  assert.deepEqual(readKubeconfig([file(CONFIG)], "", ""), {
    host: "10.0.0.1",
    port: 6_443,
    basePath: "/k8s/c-1",
    tls: { ca: { text: "CA" }, cert: { text: "CERT" }, key: { text: "KEY" }, serverName: "api" },
    token: null,
    namespace: "shop",
  });
});

test("another context, another namespace; files are beside the kubeconfig", () => {
  assert.deepEqual(readKubeconfig([file(CONFIG)], "other", "mine"), {
    host: "fd00::1",
    port: 443,
    basePath: "",
    tls: { ca: { file: join(folder, "ca.pem") }, cert: null, key: null, serverName: "" },
    token: { file: join(folder, "token") },
    namespace: "mine",
  });
});

test("of several files the first that names something wins", () => {
  const first = file(
    "current-context: other\nusers:\n  - { name: app, user: { token: abc } }\ncontexts: []\nclusters: []\n",
  );
  const { host, token } = readKubeconfig([first, file(CONFIG)], "", "");
  assert.deepEqual([host, token], ["fd00::1", { text: "abc" }]);
});

test("what is not supported is refused, and says what to use instead; no secret is repeated", () => {
  const user = (value: string) => CONFIG.replace("{ tokenFile: token }", value);
  const cluster = (value: string) => CONFIG.replace("certificate-authority: ca.pem", value);
  const refused: [string, RegExp][] = [
    [user("{ exec: { command: aws } }"), /exec, whose plugins are not run: .*kubectl create token/],
    [user("{ auth-provider: { name: gcp } }"), /auth-provider/],
    [user("{ username: me, password: secret }"), /username/],
    [user("{ token: abc, as: admin }"), /has as,/],
    [user("{ client-certificate-data: Q0VSVA== }"), /without its key/],
    [cluster("insecure-skip-tls-verify: true"), /believe whoever answers: give certificate-authority/],
    [cluster("proxy-url: http://secret"), /kubectl proxy/],
    [CONFIG.replace("https://[fd00::1]", "http://10.0.0.9:8001"), /not on this machine/],
    [CONFIG.replace("https://[fd00::1]", "https://me:secret@h"), /https:\/\/HOST:PORT/],
    [CONFIG.replace("name: there", "name: elsewhere"), /no cluster named "there"/],
    ["secret: [", /is no YAML/],
    ["- secret", /is no kubeconfig/],
  ];
  for (const [text, message] of refused) {
    assert.throws(
      () => readKubeconfig([file(text)], "other", ""),
      (error: Error & { code: string }) => {
        assert.equal(error.code, "invalid_argument");
        assert.match(error.message, message);
        return !error.message.includes("secret");
      },
    );
  }
  assert.throws(() => readKubeconfig([join(folder, "nowhere")], "", ""), /cannot be read \(ENOENT\)/);
});

test("kubectl's proxy on this machine is spoken with in plain text, and gets no token", () => {
  const { tls, token, port } = readKubeconfig(
    [file(CONFIG.replace("https://[fd00::1]", "http://127.0.0.1:8001"))],
    "other",
    "",
  );
  assert.deepEqual([tls, token, port], [null, null, 8_001]);
});

test("a kubeconfig that is named goes before the pod's service account, and that before nothing", () => {
  const url = parseKubernetesUrl("kubernetes:///mine");
  const pod = { KUBERNETES_SERVICE_HOST: "fd00::2", KUBERNETES_SERVICE_PORT_HTTPS: "6443", HOME: folder };
  assert.deepEqual(findCluster(url, pod), {
    host: "fd00::2",
    port: 6_443,
    basePath: "",
    tls: {
      ca: { file: "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt" },
      cert: null,
      key: null,
      serverName: "",
    },
    token: { file: "/var/run/secrets/kubernetes.io/serviceaccount/token" },
    namespace: "mine",
  });
  assert.equal(findCluster(url, { ...pod, KUBECONFIG: file(CONFIG) }).host, "10.0.0.1");
  assert.throws(() => findCluster(url, { HOME: folder }), /no Kubernetes is known/);
});
