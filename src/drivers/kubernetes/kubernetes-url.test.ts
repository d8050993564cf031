import assert from "node:assert/strict";
import { test } from "node:test";
import { parseKubernetesUrl } from "./kubernetes-url.ts";

const NONE = { tokenFile: "", ca: "", cert: "", key: "", serverName: "", kubeconfig: "", context: "" };

test("an address, a namespace and files are read", () => {
  assert.deepEqual(parseKubernetesUrl("kubernetes://10.0.0.1/shop?token-file=/t&ca=/c"), {
    ...NONE,
    address: { host: "10.0.0.1", port: 6_443 },
    namespace: "shop",
    tokenFile: "/t",
    ca: "/c",
  });
  assert.deepEqual(parseKubernetesUrl("kubernetes://[fd00::1]:443?cert=c&key=k&serverName=api"), {
    ...NONE,
    address: { host: "fd00::1", port: 443 },
    namespace: "",
    cert: "c",
    key: "k",
    serverName: "api",
  });
});

test("without an address it is the cluster that one is in, or a kubeconfig's", () => {
  assert.deepEqual(parseKubernetesUrl("kubernetes:///shop"), { ...NONE, address: null, namespace: "shop" });
  assert.deepEqual(parseKubernetesUrl("kubernetes://?kubeconfig=/k&context=dev"), {
    ...NONE,
    address: null,
    namespace: "",
    kubeconfig: "/k",
    context: "dev",
  });
});

test("what is none is refused, and never repeated", () => {
  for (const url of [
    "kubernetes:shop",
    "kubernetes://secret@host/shop",
    "kubernetes://host:0/shop",
    "kubernetes://host:70000/shop",
    "kubernetes://a,b/shop",
    "kubernetes://host/Shop",
    "kubernetes://host/shop/more",
    "kubernetes://host/shop?token=secret",
    "kubernetes://host/shop?tokenFile=secret",
    "kubernetes://host/shop?ca=",
    "kubernetes://host/shop?cert=secret",
    "kubernetes://host/shop?kubeconfig=secret",
    "kubernetes:///shop?token-file=secret",
    `kubernetes:///${"s".repeat(64)}`,
    `kubernetes://host/shop?ca=${"c".repeat(5_000)}`,
  ]) {
    assert.throws(
      () => parseKubernetesUrl(url),
      (error: Error & { code: string }) => error.code === "invalid_argument" && !error.message.includes("secret"),
      url,
    );
  }
});
