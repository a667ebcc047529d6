// Identifiers and key texts as branded types, so that a node's number is never taken for a user's and an unchecked
// string never for a key. Numbers are 1 … 2^53−1 (protocol §0); key texts are canonical: prefix and lower-case hex.

declare const brand: unique symbol;
type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };

/** Numeric id of a node, unique in the server, > 0. */
export type NodeId = Brand<number, "NodeId">;
/** Numeric id of a user, unique in the server, > 0. */
export type UserId = Brand<number, "UserId">;
export type PreAuthKeyId = Brand<number, "PreAuthKeyId">;
export type ApiKeyId = Brand<number, "ApiKeyId">;

/** `mkey:<64 hex>`: the identity of a Noise session. */
export type MachineKey = Brand<string, "MachineKey">;
/** `nodekey:<64 hex>`: WireGuard and DERP identity. */
export type NodeKey = Brand<string, "NodeKey">;
/** `discokey:<64 hex>`. */
export type DiscoKey = Brand<string, "DiscoKey">;
/** `nlpub:<64 hex>`: tailnet-lock public key of a node. */
export type NodeLockKey = Brand<string, "NodeLockKey">;

/** The pseudo-user that owns tagged nodes, as headscale numbers it. */
export const taggedDevicesUserId = 2147455555 as UserId;

const hex64 = /^[0-9a-f]{64}$/;

function parseKeyText(prefix: string, text: string): string | undefined {
  if (!text.startsWith(prefix)) {
    return undefined;
  }
  const hex = text.slice(prefix.length).toLowerCase();
  return hex64.test(hex) ? prefix + hex : undefined;
}

/** Parsers of key texts: the canonical text, or undefined when the text is not such a key (upper-case hex is accepted). */
export function parseMachineKey(text: string): MachineKey | undefined {
  return parseKeyText("mkey:", text) as MachineKey | undefined;
}
export function parseNodeKey(text: string): NodeKey | undefined {
  return parseKeyText("nodekey:", text) as NodeKey | undefined;
}
export function parseDiscoKey(text: string): DiscoKey | undefined {
  return parseKeyText("discokey:", text) as DiscoKey | undefined;
}
export function parseNodeLockKey(text: string): NodeLockKey | undefined {
  return (parseKeyText("nlpub:", text) ?? parseKeyText("tlpub:", text)?.replace("tlpub:", "nlpub:")) as
    | NodeLockKey
    | undefined;
}

/** Clients send the all-zero key for "no key" (protocol §1.1). */
export function isZeroKey(key: string): boolean {
  return key.endsWith(":0000000000000000000000000000000000000000000000000000000000000000");
}
