"""chat-client.py HOST:PORT URL: connects to HOST:PORT, asks for URL, and prints what comes back of three messages."""
import asyncio, sys
from websockets.asyncio.client import connect


async def main():
    host, port = sys.argv[1].rsplit(":", 1)
    async with connect(sys.argv[2], host=host, port=int(port), proxy=None) as socket:
        for message in ("one", b"two", "three" * 50_000):
            await socket.send(message)
            print(len(await socket.recv()))


asyncio.run(main())
