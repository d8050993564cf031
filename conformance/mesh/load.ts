import { Agent, get } from "node:http";
import { pause } from "./commands.ts";

/**
 * Callers of a gateway, one call after the other each, by a service that calls another where `path` says so. Ends when it is called: how many calls there were, and what failed,
 * those between the services too.
 */
export function startLoad(port: number, path: string, callers = 4): () => Promise<{ calls: number; failed: string[] }> {
  const agent = new Agent({ keepAlive: true });
  const failed: string[] = [];
  let calls = 0;
  let stopped = false;
  const worker = async (): Promise<void> => {
    while (!stopped) {
      const answer = await ask(port, path, agent);
      calls++;
      const inner = /"statuses":\{([^}]*)\}/.exec(answer.body)?.[1];
      if (answer.status !== 200) failed.push(`${answer.status} ${answer.body.slice(0, 150)}`);
      else if (inner !== undefined && !/^"200":\d+$/.test(inner)) failed.push(`inner ${inner}`);
      await pause(5);
    }
  };
  const all = Promise.all(Array.from({ length: callers }, worker));
  return async () => {
    stopped = true;
    await all;
    agent.destroy();
    return { calls, failed };
  };
}

function ask(port: number, path: string, agent: Agent): Promise<{ status: number; body: string }> {
  return new Promise((resolve) => {
    const asked = get({ host: "127.0.0.1", port, path, agent, timeout: 20_000 }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk) => (body += chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      response.on("error", (error) => resolve({ status: 0, body: error.message }));
    });
    asked.on("error", (error) => resolve({ status: 0, body: error.message }));
    asked.on("timeout", () => asked.destroy(new Error("nothing came for 20 s")));
  });
}
