#!/bin/sh
# nginx with TLS at port $1 for the name $2, with a certificate made on the spot.
dir=$(mktemp -d)
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$2" -addext "subjectAltName=DNS:$2" \
  -keyout "$dir/key.pem" -out "$dir/cert.pem" 2>/dev/null
cat > "$dir/nginx.conf" <<CONF
daemon off; master_process off; pid $dir/pid; error_log stderr error;
events { worker_connections 256; }
http {
  access_log off; client_body_temp_path $dir/b; proxy_temp_path $dir/p; fastcgi_temp_path $dir/f; uwsgi_temp_path $dir/u; scgi_temp_path $dir/s;
  server {
    listen 127.0.0.1:$1 ssl http2; server_name $2;
    ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate $dir/cert.pem; ssl_certificate_key $dir/key.pem;
    location / { return 200 "site $2\n"; }
  }
}
CONF
exec nginx -c "$dir/nginx.conf"
