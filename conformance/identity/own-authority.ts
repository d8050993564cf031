import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeJoinToken } from "../../src/core/join-token.ts";
import { openIdentity } from "../../src/link/identity-line.ts";
import { freePort } from "../free-port.ts";
import type { Case } from "../suite.ts";
import { WeftProcess } from "../weft-process.ts";

const OPERATOR = "operator-of-the-suite-0123456789abcdef";

/** A root and an intermediate that people have, made by openssl, of which `weft control` is given the intermediate: openssl and weft judge what it issues by the root alone. */
export async function ownAuthority(): Promise<Case[]> {
  const folder = mkdtempSync(join(tmpdir(), "weft-own-authority-"));
  const at = (name: string): string => join(folder, name);
  const openssl = (command: string): string =>
    execFileSync("openssl", command.split(" "), { cwd: folder, encoding: "utf8", stdio: "pipe" });
  const ec = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
  openssl(
    `req -x509 ${ec} -days 30 -subj /CN=people -addext keyUsage=critical,keyCertSign,cRLSign -keyout root.key -out root.pem`,
  );
  openssl(`req ${ec} -subj /CN=mesh -keyout mesh.key -out mesh.csr`);
  writeFileSync(at("mesh.ext"), "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n");
  openssl(
    "x509 -req -in mesh.csr -CA root.pem -CAkey root.key -CAcreateserial -days 20 -extfile mesh.ext -out mesh.pem",
  );
  const port = await freePort();
  const given = ["--ca-cert", at("mesh.pem"), "--ca-key", at("mesh.key"), "--ca-trust", at("root.pem")];
  const control = new WeftProcess(
    ["control", "--listen", `127.0.0.1:${port}`, "--data", at("data"), "--system", "shop", ...given],
    { WEFT_OPERATOR_TOKEN: OPERATOR },
  );
  try {
    await control.line(/control plane of shop/, 60_000);
    const claims = { system: "shop", service: "orders", id: "one", expiresMs: Date.now() + 60_000, uses: 1 };
    const address = `127.0.0.1:${port}`;
    const line = await openIdentity({ address, token: encodeJoinToken(claims, OPERATOR) });
    const { certificate, trust } = line.current;
    await line.close();
    const [leaf, ...between] = certificate.split(/(?<=-----END CERTIFICATE-----\n)/);
    writeFileSync(at("leaf.pem"), leaf);
    writeFileSync(at("between.pem"), between.join(""));
    const verified = openssl("verify -x509_strict -CAfile root.pem -untrusted between.pem leaf.pem");
    const named = openssl("x509 -in leaf.pem -noout -ext subjectAltName");
    return [
      {
        name: "an intermediate of people's own: openssl takes what it issues by the root alone",
        ok: /leaf\.pem: OK/.test(verified) && /URI:spiffe:\/\/shop\/orders/.test(named),
        detail: `${verified} ${named}`,
      },
      {
        name: "an intermediate of people's own: what is trusted is their root",
        ok: trust.trim() === openssl("x509 -in root.pem").trim(),
        detail: trust,
      },
    ];
  } catch (thrown) {
    return [{ name: "an intermediate of people's own", ok: false, detail: (thrown as Error).message.slice(0, 600) }];
  } finally {
    await control.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
