import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { type Place, WeftError } from "../core/errors.ts";
import type { TlsServerOptions } from "../net/types.ts";
import { usage } from "./exit-status.ts";

/** The files of a listener's certificate (PEM, its chain behind it) and private key (PEM, not encrypted), and what they are called where they were named. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  /** Default: the flags of the command line. */
  readonly certName?: string;
  readonly keyName?: string;
  readonly place?: Place;
}

/**
 * Reads and checks them, so that what is wrong is told before anything listens. Throws `invalid_argument` (BAD_CERTIFICATE) that names the file: it cannot be
 * read, is no PEM, is encrypted, is of another pair, or has expired.
 */
export function readTlsFiles(files: TlsFiles): TlsServerOptions {
  const { certName = "--tls-cert", keyName = "--tls-key", place } = files;
  const cert = readFile(files.cert, certName, place);
  const key = readFile(files.key, keyName, place);
  const certificate = parse(
    () => new X509Certificate(cert),
    `${certName} ${files.cert} holds no PEM certificate`,
    place,
  );
  const privateKey = parse(
    () => createPrivateKey(key),
    key.includes("ENCRYPTED")
      ? `${keyName} ${files.key} is encrypted; give the key without a passphrase, readable by its owner only`
      : `${keyName} ${files.key} holds no PEM private key`,
    place,
  );
  if (!certificate.checkPrivateKey(privateKey)) {
    throw wrong(
      `${keyName} ${files.key} is not the key of ${certName} ${files.cert}; give the pair of one certificate`,
      place,
    );
  }
  if (certificate.validToDate.getTime() < Date.now())
    throw wrong(`${certName} ${files.cert} has expired on ${certificate.validTo}; renew it`, place);
  return { cert, key };
}

/** The listener's TLS by --tls-cert and --tls-key; undefined without them. One without the other is a BAD_USAGE. */
export function tlsOfFlags({ tlsCert, tlsKey }: { tlsCert?: string; tlsKey?: string }): TlsServerOptions | undefined {
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCert !== undefined && tlsKey !== undefined) return readTlsFiles({ cert: tlsCert, key: tlsKey });
  const [given, missing] = tlsCert === undefined ? ["--tls-key", "--tls-cert"] : ["--tls-cert", "--tls-key"];
  throw usage(`${given} needs ${missing}: give both for TLS, or neither for plain text`);
}

/** Authorities to trust, PEM. Throws `invalid_argument` (BAD_CERTIFICATE) that names the file. */
export function readCaFile(file: string, name: string): string {
  const ca = readFile(file, name);
  parse(() => new X509Certificate(ca), `${name} ${file} holds no PEM certificate`);
  return ca;
}

function readFile(file: string, name: string, place?: Place): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const { code = "" } = cause as NodeJS.ErrnoException;
    const why =
      { ENOENT: "there is no such file", EACCES: "this user may not", EISDIR: "it is a folder" }[code] ?? code;
    throw wrong(`${name} ${file} cannot be read: ${why}`, place, cause);
  }
}

function parse<T>(read: () => T, otherwise: string, place?: Place): T {
  try {
    return read();
  } catch (cause) {
    throw wrong(otherwise, place, cause);
  }
}

function wrong(message: string, place?: Place, cause?: unknown): WeftError {
  const where = [place?.file, place?.line].filter((part) => part !== undefined).join(":");
  return new WeftError("invalid_argument", where === "" ? message : `${where} ${message}`, {
    reason: "BAD_CERTIFICATE",
    ...(place && { place }),
    cause,
  });
}
