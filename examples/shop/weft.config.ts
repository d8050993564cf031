import { defineSystem, route, traffic } from "weftmesh/system";

export default defineSystem({
  name: "shop",
  gateway: { listen: 8080 },
  services: {
    users: { run: "users/main.ts" },
    products: {
      run: "products/main.ts",
      versions: { v1: { replicas: 2 }, v2: {} },
    },
    inventory: { run: "inventory/main.ts" },
    payments: { run: "payments/main.ts" },
    orders: { run: "orders/main.ts", replicas: 2, needs: ["users", "products", "inventory", "payments"] },
    counter: { run: "../counter/server.ts" },
  },
  routes: [route("/v1/products").or("/shop.products.v1.Products").to({ "products@v1": 90, "products@v2": 10 })],
  policies: [
    traffic("products").timeout("2s").retry(2),
    traffic("payments").timeout("3s").retry(2).breaker(),
    traffic("orders").timeout("10s"),
  ],
  load: "load.ts",
  try: [
    "GET /v1/products",
    "GET /counter",
    "GET /v1/products/loom",
    "GET /v1/users",
    "GET /v1/stock/yarn",
    'POST /v1/orders {"userId": "user-1", "items": [{"productId": "loom", "quantity": 1}], "cardNumber": "4242424242424242"}',
  ],
});
