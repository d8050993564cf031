#!/bin/sh
# nginx at port $1 that is told who connects, by the PROXY protocol, and says it.
dir=$(mktemp -d)
cat > "$dir/nginx.conf" <<CONF
daemon off; master_process off; pid $dir/pid; error_log stderr error;
events { worker_connections 256; }
http {
  access_log off; client_body_temp_path $dir/b; proxy_temp_path $dir/p; fastcgi_temp_path $dir/f; uwsgi_temp_path $dir/u; scgi_temp_path $dir/s;
  server {
    listen 127.0.0.1:$1 proxy_protocol;
    location / { return 200 "told \$proxy_protocol_addr to \$proxy_protocol_server_port\n"; }
  }
}
CONF
exec nginx -c "$dir/nginx.conf"
