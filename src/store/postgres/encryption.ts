// What libpq's sslmode asks for, as connections to be tried one after the other.
import { readFileSync } from "node:fs";
import { getCACertificates } from "node:tls";
import type { ConnectionOptions } from "node:tls";

/** TLS's options, or false for none. */
export type Encryption = false | Pick<ConnectionOptions, "rejectUnauthorized" | "ca" | "checkServerIdentity">;

const unchecked: Encryption = { rejectUnauthorized: false };

/** The next is tried where the server will not have the one before. `true` is headscale's way to leave it to the driver. */
export function encryptionsOf(ssl: boolean | string, host: string): readonly [Encryption, ...Encryption[]] {
  // There is nobody between two processes on one machine; PostgreSQL has no TLS on a Unix socket.
  if (ssl === false || host.startsWith("/")) {
    return [false];
  }
  switch (ssl) {
    case "disable":
      return [false];
    case "allow":
      return [false, unchecked];
    case true:
    case "":
    case "prefer":
      return [unchecked, false];
    case "require":
      return [unchecked];
    case "verify-ca":
      return [{ ca: authorities(), checkServerIdentity: () => undefined }];
    default:
      return [{ ca: authorities() }];
  }
}

/** Those of the file that libpq's variable names alone; else all that this machine and this program trust. */
function authorities(): string[] {
  const file = process.env["PGSSLROOTCERT"] ?? "";
  return file === "" || file === "system"
    ? [...new Set([...getCACertificates("default"), ...getCACertificates("system")])]
    : [readFileSync(file, "utf8")];
}

/** Would the server take another kind of connection? That it is not there, or refuses the password, stays as it is. */
export function refusesEncryption(error: unknown): boolean {
  if (!(error instanceof Error)) {
    return false;
  }
  const code = "code" in error ? error.code : undefined;
  // 28000: pg_hba.conf has no line for this kind of connection.
  return (
    code === "28000" || /does not support SSL|There was an error establishing an SSL connection/.test(error.message)
  );
}
