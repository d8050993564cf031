/**
 * The data plane without policy: every call goes to the next endpoint, once, and its answer comes back. What the gateway costs beside it is what
 * the default policy set costs (route, time-out, retry with its budget, breaker, P2C with peak EWMA, put-aside of dead endpoints, the record).
 *
 *     node bench/peers/bare-gateway.mjs LISTEN BACKEND...
 */
import { createPolicyRuntime, Effect } from "../../dist/policy/index.js";
import { startGateway } from "../../dist/proxy/gateway.js";

const [port, ...backends] = process.argv.slice(2).map(Number);
const endpoints = backends.map((to) => ({
  id: `backend-${to}`,
  service: "backend",
  host: "127.0.0.1",
  port: to,
  version: "",
  zone: "",
  weight: 1,
  protocol: "h2c",
  health: "healthy",
  metadata: {},
}));
let turn = 0;
// As the gateway's metrics count it: they are no policy, and are kept of every call.
const attempt = { number: 1, endpoint: "", address: "", startMs: 0, durationMs: 1, outcome: "ok", why: "" };
const outcome = { status: 200, grpcStatus: 0, reason: "" };
const decision = {
  requestId: "",
  place: "gateway",
  revision: 0,
  endpointVersion: 0,
  startedAt: 0,
  durationMs: 0,
  route: "",
  service: "backend",
  steps: [],
  attempts: [attempt],
  outcome,
  nearest: "",
};

class BareCall {
  #next = Effect.none;
  #then = Effect.none;
  attempt = 1;
  endpoint = null;
  timeoutMs = Number.POSITIVE_INFINITY;
  addFields = null;
  removeFields = null;
  rewritePath = "";
  rewriteAuthority = "";
  timerId = 0;
  timerMs = 0;
  queryId = 0;
  query = null;
  store = null;
  response = null;
  ended = false;
  committed = false;
  replayable = false;
  decision = decision;

  begin() {
    this.endpoint = endpoints[turn++ % endpoints.length];
    attempt.endpoint = this.endpoint.id;
    this.#next = Effect.forward;
  }
  head(_attempt, _status, _fields, fin) {
    this.committed = true;
    this.#next = Effect.deliver;
    if (fin) this.#finish();
  }
  responseData(_attempt, _bytes, fin) {
    if (fin) this.#finish();
  }
  trailers() {
    this.#finish();
  }
  failed() {
    this.#finish();
  }
  downstreamGone() {
    this.#finish();
  }
  #finish() {
    this.ended = true;
    if (this.#next === Effect.none) this.#next = Effect.end;
    else this.#then = Effect.end;
  }
  next() {
    const effect = this.#next;
    this.#next = this.#then;
    this.#then = Effect.none;
    return effect;
  }
  answered() {}
  requestData() {}
  requestEnd() {}
  connected() {}
  timer() {}
  credit() {}
  carried() {}
  sessionEnd() {}
}

// The real one, for whoever looks at it; but its calls decide nothing.
const real = createPolicyRuntime();
const policy = new Proxy(real, {
  get(target, name) {
    if (name === "createCall") return () => new BareCall();
    if (name === "release") return () => {};
    const value = target[name];
    return typeof value === "function" ? value.bind(target) : value;
  },
});

await startGateway({ listen: { port }, admin: null, policy, accessLog: "off" });
