// The relay's own certificate, for installations without one: made at the first start, kept in the data folder (0600,
// it holds the private key), made anew when it is about to expire or the host name has changed. Clients trust it by the
// pin in the DERP map, so a new one reaches them with the map.
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdir, open, readFile, rename } from "node:fs/promises";
import { isIP } from "node:net";
import { dirname } from "node:path";
import { makeLeaf, pinOf, type Certificate } from "./certificate.ts";

const dayMs = 86_400_000;
/** Nobody but the pin vouches for it, so it is long-lived: each renewal is a moment at which old maps do not fit. */
const lifetimeMs = 10 * 365 * dayMs;
const renewBeforeMs = 90 * dayMs;
/** Clients whose clock is a little behind must accept a new one. */
const backdateMs = dayMs;

export interface SelfSigned extends Certificate {
  /** `sha256-raw:<hex>` for DERPNode.CertName. */
  readonly pin: string;
  /** True when it was made by this call. */
  readonly fresh: boolean;
}

/**
 * The certificate in `file`, or a new one written there when there is none that serves `hosts` for another 90 days.
 * `wall` is now, in ms since 1970. Rejects only when the file cannot be written.
 */
export async function loadSelfSigned(file: string, hosts: readonly string[], wall: number): Promise<SelfSigned> {
  const kept = await readKept(file, hosts, wall);
  if (kept !== undefined) {
    return { ...kept, pin: pinOf(kept.certDer), fresh: false };
  }
  const made = makeLeaf(hosts, wall - backdateMs, wall + lifetimeMs);
  await writeSecret(file, made.keyPem + made.certPem);
  return { ...made, pin: pinOf(made.certDer), fresh: true };
}

async function readKept(file: string, hosts: readonly string[], wall: number): Promise<Certificate | undefined> {
  try {
    const text = await readFile(file, "utf8");
    const cert = new X509Certificate(text);
    const key = createPrivateKey(text);
    const serves =
      cert.checkPrivateKey(key) &&
      hosts.every((host) => (isIP(host) === 0 ? cert.checkHost(host) : cert.checkIP(host)) !== undefined) &&
      cert.validFromDate.getTime() <= wall &&
      cert.validToDate.getTime() - renewBeforeMs > wall;
    return serves
      ? {
          keyPem: key.export({ type: "pkcs8", format: "pem" }).toString(),
          certPem: cert.toString(),
          certDer: cert.raw,
        }
      : undefined;
  } catch {
    return undefined;
  }
}

/** Whole or not at all, and never readable by others, not even for a moment. */
async function writeSecret(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const half = `${file}.new`;
  const handle = await open(half, "w", 0o600);
  try {
    await handle.chmod(0o600);
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(half, file);
}
