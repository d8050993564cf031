import { gunzip, gunzipSync, gzipSync } from "node:zlib";
import { WeftError } from "../core/errors.ts";
import { frameMessage } from "../wire/grpc/message-prefix.ts";

/**
 * gzip of single gRPC messages (grpc-encoding: gzip). Small ones are done at once; large ones in zlib's threads, so that one
 * caller's archive does not stall the others'.
 */
export function decompressMessage<T>(
  bytes: Uint8Array,
  maxBytes: number,
  use: (plain: Uint8Array) => T,
): T | Promise<T> {
  const options = { maxOutputLength: maxBytes };
  if (bytes.length <= AT_ONCE_BYTES) {
    let plain: Uint8Array;
    try {
      plain = gunzipSync(bytes, options);
    } catch (thrown) {
      throw decompressionError(thrown, maxBytes);
    }
    return use(plain);
  }
  return new Promise<Uint8Array>((resolve, reject) => {
    gunzip(bytes, options, (error, plain) =>
      error === null ? resolve(plain) : reject(decompressionError(error, maxBytes)),
    );
  }).then(use);
}

/** Bytes [start, end) as a compressed frame with its prefix. */
export function compressFrame(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return frameMessage(gzipSync(bytes.subarray(start, end), { level: 1 }), true);
}

function decompressionError(thrown: unknown, maxBytes: number): WeftError {
  const code = (thrown as NodeJS.ErrnoException).code;
  if (code === "ERR_BUFFER_TOO_LARGE") {
    return new WeftError(
      "resource_exhausted",
      `a compressed request message has more than ${maxBytes} bytes when it is decompressed (maxRequestBytes)`,
      {
        reason: "MESSAGE_TOO_LARGE",
      },
    );
  }
  return new WeftError(
    "invalid_argument",
    `a compressed request message is no valid gzip: ${thrown instanceof Error ? thrown.message : thrown}`,
    {
      reason: "BAD_COMPRESSION",
      cause: thrown,
    },
  );
}

/** A kilobyte of gzip can become a megabyte: 64 KiB take at most some milliseconds. */
const AT_ONCE_BYTES = 4 * 1024;
