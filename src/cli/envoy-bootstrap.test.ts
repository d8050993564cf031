import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { parse } from "yaml";
import { startControlPlane } from "../control/control-plane.ts";
import { encodeJoinToken } from "../core/join-token.ts";
import { createMemoryRegistry } from "../drivers/memory/memory-registry.ts";
import { weft } from "./weft.case.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-bootstrap-"));
after(() => rmSync(folder, { recursive: true }));

test("a sidecar's bootstrap says who it is, where the control plane is, and how it takes everything else", async () => {
  const tokenFile = join(folder, "token");
  const claims = { system: "shop", service: "orders", id: "x", expiresMs: Date.now() + 60_000, uses: 1 };
  const token = encodeJoinToken(claims, "secret");
  writeFileSync(tokenFile, `${token}\n`);
  const command =
    "envoy-bootstrap --service orders --instance orders-1 --control 127.0.0.1:7070 --app 3000 --listen 0.0.0.0:15006 --outbound 15001 --admin 9901 --zone a --token-file";
  const { status, stdout: out } = await weft(...command.split(" "), tokenFile);
  assert.equal(status, 0);
  const { node, admin, dynamic_resources, static_resources, cluster_manager } = parse(out);
  assert.deepEqual(node, {
    id: "orders-1",
    cluster: "orders",
    locality: { zone: "a" },
    metadata: {
      weft: {
        role: "sidecar",
        inbound: 15006,
        inboundHost: "0.0.0.0",
        outbound: 15001,
        outboundHost: "127.0.0.1",
        app: "127.0.0.1:3000",
      },
    },
  });
  assert.deepEqual(admin.address.socket_address, { address: "127.0.0.1", port_value: 9901 });
  const { ads_config, cds_config } = dynamic_resources;
  assert.equal(ads_config.api_type, "DELTA_GRPC");
  const metadata = [{ key: "x-weft-join-token", value: token }];
  assert.deepEqual(ads_config.grpc_services[0].initial_metadata, metadata);
  assert.deepEqual(cluster_manager.load_stats_config.grpc_services[0].initial_metadata, metadata);
  assert.deepEqual(cds_config.ads, {});
  const [{ name, load_assignment }] = static_resources.clusters;
  assert.equal(ads_config.grpc_services[0].envoy_grpc.cluster_name, name);
  assert.equal(ads_config.grpc_services[0].envoy_grpc.retry_policy.retry_back_off.max_interval, "5s");
  const { socket_address } = load_assignment.endpoints[0].lb_endpoints[0].endpoint.address;
  assert.deepEqual(socket_address, { address: "127.0.0.1", port_value: 7070 });
  assert.ok(!out.includes("&a"), "nothing that only YAML can say");
});

test("by a token that names an authority Envoy speaks TLS with the control plane that proves it, and with no other", async () => {
  const plane = await startControlPlane({
    registry: createMemoryRegistry(),
    system: "shop",
    identity: { operatorToken: "secret" },
  });
  const tokenOf = (pins: readonly string[]) => {
    const file = join(folder, `token-${pins[0].slice(0, 4)}`);
    const claims = { system: "shop", service: "orders", id: "x", expiresMs: Date.now() + 60_000, uses: 1, pins };
    writeFileSync(file, encodeJoinToken(claims, "secret"));
    return file;
  };
  const flags = ["envoy-bootstrap", "--service", "orders", "--control", plane.address, "--json", "--token-file"];
  const { stdout } = await weft(...flags, tokenOf(plane.pin.split("/")[1].split(",")));
  const [{ transport_socket }] = JSON.parse(stdout).static_resources.clusters;
  const { validation_context, alpn_protocols } = transport_socket.typed_config.common_tls_context;
  assert.match(validation_context.trusted_ca.inline_string, /^-----BEGIN CERTIFICATE-----/);
  assert.deepEqual(validation_context.match_typed_subject_alt_names[0].matcher, { exact: "spiffe://shop/control" });
  assert.deepEqual(alpn_protocols, ["h2"]);
  const refused = await weft(...flags, tokenOf(["A".repeat(43)]));
  assert.notEqual(refused.status, 0);
  assert.match(refused.stdout, /does not prove to be the control plane/);
  await plane.stop();
});

test("a gateway's is JSON on request, and of whole states", async () => {
  const { stdout: out } = await weft(
    "envoy-bootstrap",
    "--gateway",
    "--control",
    "control.local:7070",
    "--listen",
    "8443",
    "--sotw",
    "--json",
  );
  const { node, dynamic_resources, static_resources } = JSON.parse(out);
  assert.equal(node.cluster, "gateway");
  assert.deepEqual(node.metadata.weft, { role: "gateway", inbound: 8443, inboundHost: "127.0.0.1" });
  assert.equal(dynamic_resources.ads_config.api_type, "GRPC");
  assert.equal(static_resources.clusters[0].type, "STRICT_DNS");
});

test("what makes no data plane is wrong usage, with the reason", async () => {
  const wrong: [string, RegExp][] = [
    ["", /--service NAME or --gateway/],
    ["--gateway --service orders", /--service NAME or --gateway/],
    ["--gateway --app 3000", /for a sidecar/],
    ["--service orders --app 3000", /needs both/],
  ];
  for (const [flags, message] of wrong) {
    const { status, stderr: err } = await weft(
      "envoy-bootstrap",
      "--control",
      "7070",
      ...flags.split(" ").filter((flag) => flag !== ""),
    );
    assert.equal(status, 2, flags);
    assert.match(err, message);
  }
});

test("a bootstrap limits Envoy's connections, and says when somebody else registers it", async () => {
  const { stdout } = await weft(
    "envoy-bootstrap",
    "--service",
    "orders",
    "--control",
    "10.0.0.1:7070",
    "--no-register",
  );
  const { node, overload_manager } = parse(stdout);
  assert.equal(node.metadata.weft.register, false);
  assert.equal(overload_manager.resource_monitors[0].typed_config.max_active_downstream_connections, 20_000);
});

test("Envoy's own administration can be a socket that nobody else uses: it shows the join token", async () => {
  const command = "envoy-bootstrap --gateway --control 127.0.0.1:7070 --admin unix:/run/weft/gateway.admin --json";
  const { stdout } = await weft(...command.split(" "));
  assert.deepEqual(JSON.parse(stdout).admin.address, { pipe: { path: "/run/weft/gateway.admin", mode: 0o600 } });
});

test("of several control planes Envoy knows all", async () => {
  const command = "envoy-bootstrap --gateway --listen 8080 --control 127.0.0.1:7070,[::1]:7071,control.local:7072";
  const { status, stdout } = await weft(...command.split(" "));
  assert.equal(status, 0);
  const [{ type, load_assignment }] = parse(stdout).static_resources.clusters;
  assert.equal(type, "STRICT_DNS");
  assert.deepEqual(
    load_assignment.endpoints[0].lb_endpoints.map(
      ({ endpoint }: { endpoint: { address: { socket_address: object } } }) => endpoint.address.socket_address,
    ),
    [
      { address: "127.0.0.1", port_value: 7070 },
      { address: "::1", port_value: 7071 },
      { address: "control.local", port_value: 7072 },
    ],
  );
  assert.equal((await weft("envoy-bootstrap", "--gateway", "--control", "h:1,h:1")).status, 2);
});
