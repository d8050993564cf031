import { createServer } from "node:net";

/** "down N\n": sends N bytes. "up\n": counts what follows until its end, and says how many. "both N\n": sends N bytes and counts. */
const server = createServer({ allowHalfOpen: true }, (socket) => {
  const chunk = Buffer.alloc(262_144, 7);
  let line = "";
  let received = 0;
  let left = -1;
  socket.on("error", () => {});
  const send = (): void => {
    while (left > 0) {
      const part = chunk.subarray(0, Math.min(left, chunk.length));
      left -= part.length;
      if (!socket.write(part)) return void socket.once("drain", send);
    }
    if (line.startsWith("down")) socket.end();
  };
  socket.on("data", (bytes) => {
    if (line.endsWith("\n")) {
      received += bytes.length;
      return;
    }
    const end = bytes.indexOf(10);
    line += bytes.toString("latin1", 0, end + 1);
    received += bytes.length - end - 1;
    left = Number(line.split(" ")[1] ?? 0);
    send();
  });
  socket.on("end", () => socket.end(`${received}\n`));
});
server.listen(Number(process.env.PORT), "127.0.0.1");
