/** A static Envoy configuration with the features that our proxy has on: routing, least request of two, retries, circuit breakers, outlier ejection, stats. */
export function envoyConfig(options: {
  listen: number;
  admin: number;
  backends: readonly number[];
  http2: boolean;
}): string {
  const http2 = { http2_protocol_options: {} };
  return JSON.stringify({
    admin: { address: address(options.admin) },
    static_resources: {
      listeners: [
        {
          name: "in",
          address: address(options.listen),
          filter_chains: [
            {
              filters: [
                {
                  name: "envoy.filters.network.http_connection_manager",
                  typed_config: {
                    "@type":
                      "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                    stat_prefix: "in",
                    codec_type: "AUTO",
                    route_config: {
                      virtual_hosts: [
                        {
                          name: "all",
                          domains: ["*"],
                          routes: [
                            {
                              match: { prefix: "/" },
                              route: {
                                cluster: "backend",
                                timeout: "15s",
                                retry_policy: {
                                  retry_on: "connect-failure,refused-stream,reset,unavailable,retriable-status-codes",
                                  retriable_status_codes: [502, 503, 504],
                                  num_retries: 2,
                                },
                              },
                            },
                          ],
                        },
                      ],
                    },
                    http_filters: [
                      {
                        name: "envoy.filters.http.router",
                        typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
                      },
                    ],
                  },
                },
              ],
            },
          ],
        },
      ],
      clusters: [
        {
          name: "backend",
          type: "STATIC",
          lb_policy: "LEAST_REQUEST",
          circuit_breakers: {
            thresholds: [
              {
                max_connections: 1024,
                max_pending_requests: 1024,
                max_requests: 4096,
                max_retries: 64,
                track_remaining: true,
              },
            ],
          },
          outlier_detection: { consecutive_5xx: 5 },
          typed_extension_protocol_options: {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
              "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
              explicit_http_config: options.http2 ? http2 : { http_protocol_options: {} },
            },
          },
          load_assignment: {
            cluster_name: "backend",
            endpoints: [{ lb_endpoints: options.backends.map((port) => ({ endpoint: { address: address(port) } })) }],
          },
        },
      ],
    },
  });
}

function address(port: number): unknown {
  return { socket_address: { address: "127.0.0.1", port_value: port } };
}
