// Certificates the relay makes for itself (RFC 5280): a P-256 leaf that clients pin by its hash, and the "derpkey" meta
// certificate that tells the relay's public key inside a TLS 1.3 handshake (protocol §8.1).
import { createHash, generateKeyPairSync, randomBytes, sign, type KeyObject } from "node:crypto";
import { isIP } from "node:net";
import { protocolVersion } from "../wire/derp-frames.ts";
import * as der from "./der.ts";
import { addressBytes } from "./source-address.ts";

export interface Certificate {
  readonly keyPem: string;
  readonly certPem: string;
  readonly certDer: Buffer;
}

const oid = {
  commonName: "2.5.4.3",
  basicConstraints: "2.5.29.19",
  keyUsage: "2.5.29.15",
  extendedKeyUsage: "2.5.29.37",
  subjectAltName: "2.5.29.17",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
  ed25519: "1.3.101.112",
} as const;

interface Content {
  readonly commonName: string;
  /** Big-endian. */
  readonly serial: Uint8Array;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly extensions: readonly Buffer[];
}

function makeCertificate(
  keys: { readonly publicKey: KeyObject; readonly privateKey: KeyObject },
  signature: { readonly oid: string; readonly digest: string | null },
  content: Content,
): Certificate {
  const name = der.sequence(der.set(der.sequence(der.objectId(oid.commonName), der.utf8(content.commonName))));
  const algorithm = der.sequence(der.objectId(signature.oid));
  const toBeSigned = der.sequence(
    der.explicit(0, der.integer(Buffer.from([2]))),
    der.integer(content.serial),
    algorithm,
    name,
    der.sequence(der.time(content.notBefore), der.time(content.notAfter)),
    name,
    keys.publicKey.export({ type: "spki", format: "der" }),
    der.explicit(3, der.sequence(...content.extensions)),
  );
  const certDer = der.sequence(toBeSigned, algorithm, der.bits(sign(signature.digest, toBeSigned, keys.privateKey)));
  return {
    keyPem: keys.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    certPem: der.pem("CERTIFICATE", certDer),
    certDer,
  };
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return der.sequence(der.objectId(id), ...(critical ? [der.boolean(true)] : []), der.octets(value));
}

/** An empty BasicConstraints: it is no authority. */
const noAuthority = extension(oid.basicConstraints, true, der.sequence());

/** A server certificate for these host names and addresses; times in ms since 1970. */
export function makeLeaf(hosts: readonly string[], notBefore: number, notAfter: number): Certificate {
  const names = hosts.map((host) =>
    isIP(host) === 0
      ? der.implicit(2, Buffer.from(host, "ascii"))
      : der.implicit(7, addressBytes(host) ?? Buffer.alloc(4)),
  );
  const serial = randomBytes(16);
  return makeCertificate(
    generateKeyPairSync("ec", { namedCurve: "prime256v1" }),
    { oid: oid.ecdsaWithSha256, digest: "sha256" },
    {
      commonName: hosts[0] ?? "relay",
      serial,
      notBefore,
      notAfter,
      extensions: [
        noAuthority,
        // digitalSignature alone
        extension(oid.keyUsage, true, der.bits(Buffer.from([0x80]), 7)),
        extension(oid.extendedKeyUsage, false, der.sequence(der.objectId(oid.serverAuth))),
        extension(oid.subjectAltName, false, der.sequence(...names)),
      ],
    },
  );
}

/** The meta certificate: its name tells the relay's key, its serial number the protocol version. */
export function makeMetaCertificate(publicKeyHex: string, notBefore: number, notAfter: number): Certificate {
  return makeCertificate(
    generateKeyPairSync("ed25519"),
    { oid: oid.ed25519, digest: null },
    {
      commonName: `derpkey${publicKeyHex}`,
      serial: Buffer.from([protocolVersion]),
      notBefore,
      notAfter,
      extensions: [noAuthority],
    },
  );
}

/** The CertName by which clients (from 1.82) pin a leaf. */
export function pinOf(certDer: Uint8Array): `sha256-raw:${string}` {
  return `sha256-raw:${createHash("sha256").update(certDer).digest("hex")}`;
}
