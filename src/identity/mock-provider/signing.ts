// The mock provider's key and the tokens it signs: RS256, as RFC 7515 and 7519 have it.
import { createHash, generateKeyPair, sign } from "node:crypto";
import { promisify } from "node:util";

export interface SigningKey {
  /** The public half, as a key set lists it. */
  readonly jwk: Readonly<Record<string, string>>;
  /** A JSON Web Token of these claims. */
  token(claims: Readonly<Record<string, unknown>>): string;
}

export async function createSigningKey(): Promise<SigningKey> {
  const { privateKey, publicKey } = await promisify(generateKeyPair)("rsa", { modulusLength: 2048 });
  const { n = "", e = "" } = publicKey.export({ format: "jwk" });
  // The key's thumbprint (RFC 7638) is its name.
  const kid = sha256(JSON.stringify({ e, kty: "RSA", n })).toString("base64url");
  return {
    jwk: { kty: "RSA", use: "sig", alg: "RS256", kid, n, e },
    token(claims) {
      const signed = [{ alg: "RS256", typ: "JWT", kid }, claims]
        .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
        .join(".");
      return `${signed}.${sign("sha256", Buffer.from(signed), privateKey).toString("base64url")}`;
    },
  };
}

/** What an ID token says of the access token beside it: the left half of its hash. */
export function accessTokenHash(token: string): string {
  return sha256(token).subarray(0, 16).toString("base64url");
}

export type ChallengeMethod = "plain" | "S256";

/** The challenge that a PKCE verifier answers (RFC 7636). */
export function challengeOf(verifier: string, method: ChallengeMethod): string {
  return method === "plain" ? verifier : sha256(verifier).toString("base64url");
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text, "utf8").digest();
}
