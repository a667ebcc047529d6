// Decoders of what clients send to /machine/register and /machine/map (protocol §3.1, §4.1). The types are the
// contract in tailcfg.ts; zero keys and zero times become absent, unknown fields are ignored, bounds are everywhere.
// The caller bounds the body itself (1 MiB).
import { formatAddr, parseAddr } from "../ip/index.ts";
import { readHostinfo } from "./hostinfo-decode.ts";
import { isZeroKey, parseDiscoKey, parseNodeKey, parseNodeLockKey, type NodeKey } from "./ids.ts";
import { decodeDocument, type Decoded, type FieldReader } from "./json-fields.ts";
import type { AddrPortText, Hostinfo, MapRequest, RegisterRequest } from "./tailcfg.ts";

export type { Decoded } from "./json-fields.ts";

const maxVersion = 0xffff;
/** Endpoints kept of a request; further ones are dropped, for the first are the likeliest to work. */
const endpointsKept = 128;
const endpointsLimit = 8192;
const authKeyLimit = 4096;
const followupLimit = 2048;
const signatureLimit = 16_384;
const nameLimit = 256;

export function decodeRegisterRequest(body: Uint8Array): Decoded<RegisterRequest> {
  return decodeDocument(body, readRegisterRequest);
}

function readRegisterRequest(fields: FieldReader): RegisterRequest {
  const oldNodeKey = optionalKey(fields, "OldNodeKey", parseNodeKey, "a node key");
  const lockKey = optionalKey(fields, "NLKey", parseNodeLockKey, "a tailnet-lock key");
  const authKey = fields.object("Auth")?.text("AuthKey", authKeyLimit) ?? "";
  const expiry = fields.time("Expiry");
  const signature = fields.base64("NodeKeySignature", signatureLimit);
  const tailnet = fields.text("Tailnet", nameLimit);
  return {
    Version: readVersion(fields),
    NodeKey: requiredNodeKey(fields),
    ...(oldNodeKey === undefined ? {} : { OldNodeKey: oldNodeKey }),
    ...(lockKey === undefined ? {} : { NLKey: lockKey }),
    ...(authKey === "" ? {} : { AuthKey: authKey }),
    ...(expiry === undefined ? {} : { Expiry: expiry }),
    Followup: fields.text("Followup", followupLimit),
    Hostinfo: optionalHostinfo(fields) ?? {},
    Ephemeral: fields.flag("Ephemeral") ?? false,
    ...(signature === undefined ? {} : { NodeKeySignature: signature }),
    ...(tailnet === "" ? {} : { Tailnet: tailnet }),
  };
}

export function decodeMapRequest(body: Uint8Array): Decoded<MapRequest> {
  return decodeDocument(body, readMapRequest);
}

function readMapRequest(fields: FieldReader): MapRequest {
  const discoKey = optionalKey(fields, "DiscoKey", parseDiscoKey, "a disco key");
  const hostinfo = optionalHostinfo(fields);
  const head = fields.text("TKAHead", nameLimit);
  return {
    Version: readVersion(fields),
    Compress: fields.text("Compress", nameLimit) === "zstd" ? "zstd" : "",
    KeepAlive: fields.flag("KeepAlive") ?? false,
    NodeKey: requiredNodeKey(fields),
    ...(discoKey === undefined ? {} : { DiscoKey: discoKey }),
    Stream: fields.flag("Stream") ?? false,
    OmitPeers: fields.flag("OmitPeers") ?? false,
    ReadOnly: fields.flag("ReadOnly") ?? false,
    ...(hostinfo === undefined ? {} : { Hostinfo: hostinfo }),
    ...readEndpoints(fields),
    ...(head === "" ? {} : { TKAHead: head }),
  };
}

function readVersion(fields: FieldReader): number {
  return fields.integer("Version", 0, maxVersion) ?? 0;
}

function optionalHostinfo(fields: FieldReader): Hostinfo | undefined {
  const host = fields.object("Hostinfo");
  return host === undefined ? undefined : readHostinfo(host);
}

/** A key that may be absent, empty or zero, all of which mean "none". */
function optionalKey<Key extends string>(
  fields: FieldReader,
  name: string,
  parse: (text: string) => Key | undefined,
  what: string,
): Key | undefined {
  const key = fields.parsed(name, parse, what);
  return key === undefined || isZeroKey(key) ? undefined : key;
}

/** The sender's node key, which cannot be missing. */
export function requiredNodeKey(fields: FieldReader): NodeKey {
  const key = optionalKey(fields, "NodeKey", parseNodeKey, "a node key");
  if (key === undefined) {
    fields.fail("NodeKey", "missing");
  }
  return key ?? noNodeKey;
}

/** Stands in while the rest is read; the request is refused anyway. */
const noNodeKey = `nodekey:${"0".repeat(64)}` as NodeKey;

/**
 * Endpoints and their types, in step. What is no address and port (one with a zone, say) is left out: it would be of
 * no use to peers, whose decoders would reject the whole map for it.
 */
function readEndpoints(fields: FieldReader): Pick<MapRequest, "Endpoints" | "EndpointTypes"> {
  const texts = fields.texts("Endpoints", endpointsLimit, nameLimit);
  const types = fields.list("EndpointTypes", endpointsLimit);
  const endpoints: AddrPortText[] = [];
  const endpointTypes: number[] = [];
  texts.forEach((text, index) => {
    const endpoint = canonicalAddrPort(text);
    if (endpoint !== undefined && endpoints.length < endpointsKept) {
      endpoints.push(endpoint);
      const type = types[index];
      endpointTypes.push(typeof type === "number" && Number.isInteger(type) && type >= 0 && type < 256 ? type : 0);
    }
  });
  return { Endpoints: endpoints, EndpointTypes: endpointTypes };
}

const bracketed = /^\[([^\]]+)\]:(\d{1,5})$/;
const plain = /^([^:[\]]+):(\d{1,5})$/;

/** `1.2.3.4:5` or `[v6]:5` in canonical form, or undefined. */
export function canonicalAddrPort(text: string): AddrPortText | undefined {
  const v6 = bracketed.exec(text);
  const match = v6 ?? plain.exec(text);
  const addr = parseAddr(match?.[1] ?? "");
  const port = Number(match?.[2]);
  if (addr === undefined || port > 65_535 || (addr.family === 6) !== (v6 !== null)) {
    return undefined;
  }
  return v6 === null ? `${formatAddr(addr)}:${port}` : `[${formatAddr(addr)}]:${port}`;
}
