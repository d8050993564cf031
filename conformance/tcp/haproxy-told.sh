#!/bin/sh
# haproxy at port $1 that is told who connects, by the PROXY protocol, and says it.
dir=$(mktemp -d)
cat > "$dir/haproxy.cfg" <<CONF
defaults
  mode http
  timeout client 10s
  timeout server 10s
  timeout connect 2s
frontend told
  bind 127.0.0.1:$1 accept-proxy
  http-request return status 200 content-type text/plain lf-string "told %[src] to %[dst_port]\n"
CONF
exec haproxy -db -f "$dir/haproxy.cfg"
