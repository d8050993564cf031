/** What people call the place that a url names; "" for none that there is. */
export function vendorOf(url: string): string {
  const [, scheme = ""] = /^([a-z]+):\/\//.exec(url) ?? [];
  return VENDORS[scheme] ?? "";
}

const VENDORS: Readonly<Record<string, string>> = {
  consul: "Consul",
  dns: "DNS",
  etcd: "etcd",
  kubernetes: "Kubernetes",
  postgres: "PostgreSQL",
  zookeeper: "ZooKeeper",
};
