import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestAuthority } from "../../src/net/identity.case.ts";
import type { Case } from "../suite.ts";

/** Certificates of ours before Go's crypto/x509, which is stricter than OpenSSL in what it reads. */
export function goTakes(): Case[] {
  const name = "Go's crypto/x509 takes our certificates, for servers and for clients";
  const folder = mkdtempSync(join(tmpdir(), "weft-go-x509-"));
  try {
    const authority = new TestAuthority("shop");
    writeFileSync(join(folder, "root.pem"), authority.trust);
    writeFileSync(join(folder, "leaf.pem"), authority.issue("orders").certificate);
    writeFileSync(join(folder, "main.go"), PROGRAM);
    const env = { ...process.env, GO111MODULE: "off", GOCACHE: join(tmpdir(), "weft-go-cache") };
    // The first time it compiles what it needs of Go itself, which takes long where others want the processors, too.
    const output = execFileSync("go", ["run", "main.go"], { cwd: folder, env, encoding: "utf8", timeout: 600_000 });
    return [{ name, ok: output.trim() === "spiffe://shop/orders", detail: output }];
  } catch (thrown) {
    return [{ name, ok: false, detail: (thrown as Error).message.slice(0, 500) }];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const PROGRAM = `package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
)

func read(name string) *x509.Certificate {
	text, err := os.ReadFile(name)
	if err != nil {
		panic(err)
	}
	block, _ := pem.Decode(text)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		panic(err)
	}
	return certificate
}

func main() {
	roots := x509.NewCertPool()
	roots.AddCert(read("root.pem"))
	leaf := read("leaf.pem")
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
			panic(err)
		}
	}
	fmt.Println(leaf.URIs[0])
}
`;
