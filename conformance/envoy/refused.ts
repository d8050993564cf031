import { createDirectClient } from "../../src/call/direct.ts";
import { ClientResourceStatus } from "../../src/contract/gen/envoy/admin/v3/config_dump_shared.ts";
import { ClientStatusDiscoveryService } from "../../src/contract/gen/envoy/service/status/v3/csds.ts";
import { Admin } from "../../src/contract/gen/weft/control/v1/control.ts";
import { freePort } from "../free-port.ts";
import { run } from "../mesh/commands.ts";
import { weftCommand } from "../system.ts";
import { call, Mesh, until } from "./mesh.ts";

/** A revision that a stock Envoy refuses, with the reason of its own: the one before stays, and everybody who looks is told. By changes and by whole states. */
export async function refusalCases(
  check: (name: string, what: () => Promise<unknown>) => Promise<void>,
): Promise<void> {
  for (const delta of [true, false]) {
    const how = delta ? "delta" : "state of the world";
    await using mesh = await Mesh.start();
    await mesh.backend("products", "v1");
    await mesh.publish(route("old", "/old"));
    const port = await freePort();
    // Envoy's own limit for regular expressions, which weft's bootstrap lifts: 100 instructions.
    const otherwise = { layered_runtime: { layers: [] } };
    await mesh.envoy("gateway", { listen: port, delta, otherwise });
    const get = (path: string) => call({ port, path, headers: { host: "shop.example" } });
    const admin = createDirectClient(Admin, mesh.control.address);
    const status = createDirectClient(ClientStatusDiscoveryService, mesh.control.address);
    const metadata = { authorization: `Bearer ${Mesh.operator}` };
    const picture = () => admin.client.getTopology({ probeTimeoutMs: 2_000 }, { metadata });
    try {
      await until(async () => (await get("/old")).status === 200, "the gateway");
      await check(`a refused revision (${how}): publishing says who refused it, and why`, async () => {
        const resources = route("new", "/new/[a-f0-9]{120}/(items|things|objects)", "RegularExpression");
        const published = await admin.client.publishRevision(
          { resources, source: "suite", author: "suite", reason: "", waitMs: 5_000 },
          { metadata },
        );
        const [refused] = published.delivery?.refused ?? [];
        if (!/gateway-envoy/.test(refused?.process ?? "") || !/program size/.test(refused?.reason ?? ""))
          throw new Error(JSON.stringify(published.delivery));
      });
      await check(`a refused revision (${how}): the one before stays in force`, async () => {
        for (let i = 0; i < 20; i++) {
          const { status: code } = await get("/old");
          if (code !== 200) throw new Error(`/old answers ${code}`);
        }
        if ((await get(`/new/${"a".repeat(120)}/items`)).status !== 404) throw new Error("the new one is in force");
      });
      await check(
        `a refused revision (${how}): the picture names the data plane, the resource and the reason`,
        async () => {
          const { problems, planes, revision } = await picture();
          const [plane] = planes;
          const [problem] = problems;
          if (problem?.kind !== "refused" || problem.subject !== "gateway-envoy")
            throw new Error(JSON.stringify(problems));
          if (!/RouteConfiguration gateway of revision 2, revision 1 stays: .*program size/.test(problem.message))
            throw new Error(problem.message);
          const found = [plane.sent, plane.acknowledged, plane.enforced, revision].join();
          if (found !== "2,1,1,2") throw new Error(`sent, acknowledged, enforced, newest: ${found}`);
          const { output } = await run(process.execPath, [...weftCommand, "mesh", "--control", mesh.control.address], {
            WEFT_OPERATOR_TOKEN: Mesh.operator,
          });
          if (!/^refused +gateway-envoy +refused .*program size/m.test(output)) throw new Error(output);
        },
      );
      await check(`a refused revision (${how}): CSDS says NACKED, of what and why`, async () => {
        const { config } = await status.client.fetchClientStatus({}, { metadata });
        const all = config.flatMap(({ genericXdsConfigs }) => genericXdsConfigs);
        const nacked = all.filter(({ clientStatus }) => clientStatus === ClientResourceStatus.NACKED);
        if (
          nacked.length !== 1 ||
          !/RouteConfiguration$/.test(nacked[0].typeUrl) ||
          !/program size/.test(nacked[0].errorState?.details ?? "")
        )
          throw new Error(nacked.map(({ typeUrl, errorState }) => `${typeUrl} ${errorState?.details}`).join("; "));
        const accepted = all.filter(({ clientStatus }) => clientStatus === ClientResourceStatus.ACKED);
        const names = accepted.map(({ typeUrl, name }) => `${typeUrl.split(".").at(-1)} ${name}`);
        for (const name of ["Cluster products", "ClusterLoadAssignment products", "Listener gateway"])
          if (!names.includes(name)) throw new Error(`accepted: ${names}`);
      });
      await check(
        `a refused revision (${how}): the next one that is right is in force, and nothing is wrong any more`,
        async () => {
          await mesh.publish(route("new", "/new"));
          await until(async () => (await get("/new")).status === 200, "the new route");
          // Its workers may follow the new routes before its acknowledgement of them is here.
          let found = "";
          const right = async (): Promise<boolean> => {
            const { problems, planes } = await picture();
            const [{ acknowledged, enforced }] = planes;
            found = `${acknowledged}, ${enforced}, ${JSON.stringify(problems)}`;
            return found === "3, 3, []";
          };
          await until(right, "the picture to be right").catch((late: Error) => {
            throw new Error(`${late.message}: ${found}`);
          });
        },
      );
    } finally {
      await admin.close();
      await status.close();
    }
  }
}

function route(name: string, value: string, type = "PathPrefix"): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name} }
spec:
  hostnames: ["shop.example"]
  rules: [{ matches: [{ path: { type: ${type}, value: "${value}" } }], backendRefs: [{ name: products }] }]
`;
}
