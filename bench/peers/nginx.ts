/** nginx in the foreground with one worker: as a proxy of `backends` (kept-alive connections), or as a backend that answers by itself. */
export function nginxConfig(options: { listen: number; folder: string; backends: readonly number[] }): string {
  const serve =
    options.backends.length === 0
      ? `location / { default_type application/json; return 200 '{"count":"2","from":"backend","padding":"${"x".repeat(64)}"}'; }`
      : "location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_next_upstream error timeout http_502 http_503 http_504; }";
  const upstream =
    options.backends.length === 0
      ? ""
      : `upstream backend { random two least_conn; ${options.backends.map((port) => `server 127.0.0.1:${port};`).join(" ")} keepalive 128; }`;
  return `daemon off; master_process off; worker_processes 1; pid ${options.folder}/nginx-${options.listen}.pid; error_log stderr crit;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 1000000000; client_body_temp_path ${options.folder}; proxy_temp_path ${options.folder}; fastcgi_temp_path ${options.folder}; uwsgi_temp_path ${options.folder}; scgi_temp_path ${options.folder};
${upstream}
server { listen 127.0.0.1:${options.listen}; ${serve} } }
`;
}
