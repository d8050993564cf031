// Orders, a typed service: gRPC, and REST for those that speak HTTP alone. Beside a sidecar it leaves discovery, retries and identity to that.
import { get } from "node:http";
import { connect, serve, service } from "weftmesh";
import { Trial } from "../gen/trial/v1/trial.ts";

const { WEFT_SERVICE = "", WEFT_VERSION = "", WEFT_SIDECAR = "" } = process.env;
const trial = connect(Trial);

interface Seen {
  readonly status: number;
  readonly version: string;
  readonly peer: string;
}

/** By HTTP through the sidecar: its address, and the service's name as the host. */
function overHttp(to: string, path: string): Promise<Seen> {
  const [host, port] = WEFT_SIDECAR.split(":");
  return new Promise((resolve) => {
    const request = get({ host, port, path, headers: { host: `${to}.weft` }, timeout: 10_000 }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk) => (text += chunk));
      response.on("end", () => {
        const status = response.statusCode ?? 0;
        const body = status === 200 ? JSON.parse(text) : {};
        resolve({ status, version: body.version ?? "", peer: body.peer ?? "" });
      });
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve({ status: 0, version: "", peer: "" }));
  });
}

/** The same over gRPC, by a typed client; its service is found by its contract. */
async function overGrpc(): Promise<Seen> {
  try {
    const { version, peer } = await trial.hello({});
    return { status: 200, version, peer };
  } catch {
    return { status: 0, version: "", peer: "" };
  }
}

const orders = service(Trial, {
  hello(_request, call) {
    const peer = call.requestHeaders.get("x-weft-peer") ?? "";
    return { service: WEFT_SERVICE, version: WEFT_VERSION, language: "TypeScript", peer };
  },
  async call({ to, path, count }) {
    const statuses: Record<string, number> = {};
    const versions: Record<string, number> = {};
    const peers = new Set<string>();
    for (let i = 0; i < Math.max(1, count); i++) {
      const { status, version, peer } = path === "grpc" ? await overGrpc() : await overHttp(to, path || "/hello");
      statuses[status] = (statuses[status] ?? 0) + 1;
      if (status !== 200) continue;
      versions[version] = (versions[version] ?? 0) + 1;
      peers.add(peer);
    }
    return { statuses, versions, peers: [...peers] };
  },
});

await serve(orders);
