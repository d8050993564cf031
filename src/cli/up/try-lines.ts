/** The requests of `try` as curl commands. A request with a body has it behind its path: 'POST /v1/orders {"userId":"user-1"}'. */
export function curlLines(gateway: string, requests: readonly string[]): string[] {
  return requests.map((request) => {
    const match = /^(?:([A-Z]+) )?(\/\S*)(?: (.+))?$/s.exec(request);
    if (match === null) return request;
    const [, method = "GET", path, body] = match;
    const verb = method === "GET" || (method === "POST" && body !== undefined) ? "" : ` -X ${method}`;
    const data = body === undefined ? "" : ` -H 'content-type: application/json' -d '${body.replaceAll("'", "'\\''")}'`;
    return `curl${verb} ${quote(gateway + path)}${data}`;
  });
}

function quote(url: string): string {
  return /^[\w:/.,@%+=-]+$/.test(url) ? url : `'${url.replaceAll("'", "'\\''")}'`;
}
