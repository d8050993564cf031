import { authentication, authorization, defineSystem, objective, rateLimit, route, traffic } from "weftmesh/system";

const key = { name: "tester", sha256: "2a8d5c8b8a9fc0e16aae0b8d6d6b1b3d0b1c2f8a0f6f0d2e9e2a4a6d0c1b5f37" };

/** Of a password that nobody knows. */
const PASSWORD = "scrypt$16384$8$5$AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/** Every policy there is, around the counter: what is malformed or made up has to come through all of them. */
export default defineSystem({
  name: "guarded",
  gateway: { listen: 0 },
  services: { counter: { run: "../../examples/counter/main.ts", replicas: 2 } },
  policies: [
    route("/").to("counter").sticky({ by: "cookie", name: "lane" }).mirror("counter", 1),
    traffic("counter")
      .timeout("8s", "2s")
      .idleTimeout("5s")
      .retry(2)
      .hedge("500ms")
      .breaker({ consecutiveFailures: 1_000 })
      .outlier({ consecutive5xx: 1_000 })
      .balancer("ring-hash", { hash: [{ by: "header", name: "x-user" }] })
      .concurrency("gradient2", { min: 100, enforcedBy: "both" })
      // A machine that is busy with other things is to shed nothing here.
      .admission({
        eventLoop: 0,
        loopDelay: "1m",
        priorities: [{ claim: { name: "role", value: "gold" }, priority: 9 }],
      })
      .cache({ staleWhileRevalidate: "5s", staleIfError: "1m", collapse: "200ms", keyHeaders: ["x-lane"] })
      .fault({ delay: { fixed: "1ms", percent: 5 }, byHeader: { maxPercent: 10 } })
      .fallback({ stale: true, body: "later" }),
    rateLimit("counter").named("addresses").allow(100_000, "1s").by("address"),
    rateLimit("counter").named("keys").allow(1_000_000, "1m").byHeader("x-user").sliding(),
    rateLimit("counter").named("shared").allow(1_000_000, "1s").by("path").shared(),
    rateLimit("counter").named("queue").by("address").inFlight(200, { queue: 50, maxWait: "500ms" }),
    authentication("guarded")
      .jwt(
        { issuer: "https://id.test", audiences: ["shop"], jwks: { url: "http://127.0.0.1:9/keys" } },
        { claimHeaders: [{ claim: "role", header: "x-role" }] },
      )
      .apiKey({ consumers: [key], from: [{ header: "x-api-key" }] })
      .hmac({ keys: [{ id: "partner", secret: { env: "WEFT_NO_SUCH_SECRET" } }] })
      .basic({ users: [{ name: "tester", password: PASSWORD }], insecure: true })
      .on("counter")
      .optional(),
    authorization("counter")
      .deny({ paths: ["/admin/*"], networks: ["0.0.0.0/0", "::/0"] })
      .deny({ when: "request.path.startsWith('/secret') || 'x-evil' in request.headers" })
      .audit({ methods: ["DELETE"] }),
    objective("counter").availability(99.9).latency(99, "1s"),
  ],
});
