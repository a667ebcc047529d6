// The DERP handshake (protocol §8.3): ServerKey out, ClientInfo in, admission, ServerInfo out. A visitor is nobody until
// it is over, so everything here is bounded: the frame's size, the time, and (in derp-server) how many are at it.
// Whoever holds the mesh key is a mesh peer and needs no admission; everybody else is asked about, and any doubt (an
// error, no answer in time) is a refusal.
import { randomBytes, timingSafeEqual } from "node:crypto";
import type { Duplex } from "node:stream";
import {
  encodeServerInfo,
  encodeServerKey,
  frameType,
  headerLength,
  parseClientInfo,
  protocolVersion,
} from "../wire/derp-frames.ts";
import { FrameSplitter } from "../wire/derp-splitter.ts";
import type { NodeKey } from "../wire/ids.ts";
import { nodeKeyText, type PrivateKey } from "../wire/keys.ts";
import { boxNonceLength, boxReady, openBox, sealBox, sharedBoxKey } from "../wire/nacl-box.ts";
import type { RelayClock } from "./clock.ts";
import type { RefusalReason } from "./counters.ts";
import type { RelayLimits } from "./limits.ts";

export interface HandshakeHouse {
  readonly privateKey: PrivateKey;
  /** 32 bytes. */
  readonly meshKey: Uint8Array | undefined;
  readonly limits: RelayLimits;
  readonly clock: RelayClock;
  admit(nodeKey: NodeKey, sourceIp: string): boolean | Promise<boolean>;
}

export interface Admitted {
  readonly raw: Buffer;
  readonly nodeKey: NodeKey;
  readonly mesh: boolean;
  readonly prober: boolean;
  /** Bytes received behind ClientInfo. */
  readonly rest: Buffer | undefined;
}

/** What ClientInfo says, as far as a relay cares. */
export interface ClientInfo {
  readonly meshKey?: string;
  readonly isProber: boolean;
}

/**
 * Runs the handshake on `stream`, on which nothing has been read but `head`; `preamble` goes out in front of ServerKey.
 * The stream is left paused. A reason comes back when the visitor is not let in; the stream is then the caller's to end.
 */
export async function shakeHands(
  stream: Duplex,
  head: Buffer,
  preamble: Buffer,
  sourceIp: string,
  house: HandshakeHouse,
): Promise<Admitted | RefusalReason> {
  let cancel = (): void => undefined;
  const deadline = new Promise<"handshake-timeout">((done) => {
    cancel = house.clock.after(house.limits.handshakeMs, () => done("handshake-timeout"));
  });
  try {
    return await Promise.race([deadline, greet(stream, head, preamble, sourceIp, house)]);
  } finally {
    cancel();
  }
}

async function greet(
  stream: Duplex,
  head: Buffer,
  preamble: Buffer,
  sourceIp: string,
  house: HandshakeHouse,
): Promise<Admitted | RefusalReason> {
  stream.write(Buffer.concat([preamble, encodeServerKey(house.privateKey.publicRaw)]));
  const first = await readClientInfo(stream, head, house.limits.clientInfoBytes);
  if (first === undefined) {
    return "bad-handshake";
  }
  await boxReady;
  const shared = sharedBoxKey(first.clientKey, house.privateKey);
  const opened = shared && openBox(first.box, first.nonce, shared);
  const info = opened && parseClientInfoJson(opened);
  if (shared === undefined || info === undefined) {
    return "bad-handshake";
  }
  const raw = Buffer.from(first.clientKey);
  const nodeKey = nodeKeyText(raw);
  const mesh = isMeshKey(info.meshKey, house.meshKey);
  if (!mesh && !(await isAdmitted(nodeKey, sourceIp, house))) {
    return "not-admitted";
  }
  stream.write(serverInfo(house.limits, shared));
  return { raw, nodeKey, mesh, prober: info.isProber, rest: first.rest };
}

interface FirstFrame {
  readonly clientKey: Buffer;
  readonly nonce: Buffer;
  readonly box: Buffer;
  readonly rest: Buffer | undefined;
}

/** The first frame, which must be a ClientInfo; undefined when it is anything else or the stream ends. */
function readClientInfo(stream: Duplex, head: Buffer, limit: number): Promise<FirstFrame | undefined> {
  return new Promise((done) => {
    const finish = (frame: FirstFrame | undefined): void => {
      stream.pause();
      stream.off("data", received);
      stream.off("close", closed);
      stream.off("end", closed);
      done(frame);
    };
    let payload: Buffer | undefined;
    const splitter: FrameSplitter = new FrameSplitter({
      accept: (type, length) => (type === frameType.clientInfo && length <= limit ? "take" : "refuse"),
      frame(_type, buffer, start, end) {
        payload = buffer.subarray(start + headerLength, end);
        splitter.hold();
      },
      flush: () => undefined,
    });
    const received = (chunk: Buffer): void => {
      const usable = splitter.push(chunk);
      if (payload !== undefined) {
        const sealed = parseClientInfo(payload);
        finish(sealed && { ...sealed, rest: splitter.takeHeld() });
      } else if (!usable) {
        finish(undefined);
      }
    };
    const closed = (): void => finish(undefined);
    stream.on("data", received);
    stream.on("close", closed);
    stream.on("end", closed);
    if (head.length > 0) {
      received(head);
    }
  });
}

/** Unknown fields are ignored and fields of a wrong type count as absent; undefined when it is no JSON object. */
export function parseClientInfoJson(text: Uint8Array): ClientInfo | undefined {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(text).toString("utf8"));
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return undefined;
  }
  const isProber = "IsProber" in value && value.IsProber === true;
  return "meshKey" in value && typeof value.meshKey === "string" ? { meshKey: value.meshKey, isProber } : { isProber };
}

/** Constant time in the offered key: only its form may show. */
function isMeshKey(offered: string | undefined, meshKey: Uint8Array | undefined): boolean {
  if (meshKey === undefined || offered === undefined || !/^[0-9a-fA-F]{64}$/.test(offered)) {
    return false;
  }
  return timingSafeEqual(Buffer.from(offered, "hex"), meshKey);
}

async function isAdmitted(nodeKey: NodeKey, sourceIp: string, house: HandshakeHouse): Promise<boolean> {
  let cancel = (): void => undefined;
  const tooLate = new Promise<false>((done) => {
    cancel = house.clock.after(house.limits.admitMs, () => done(false));
  });
  try {
    return await Promise.race([house.admit(nodeKey, sourceIp), tooLate]);
  } catch {
    return false;
  } finally {
    cancel();
  }
}

function serverInfo(limits: RelayLimits, shared: Uint8Array): Buffer {
  const info =
    limits.clientBytesPerSecond > 0
      ? {
          version: protocolVersion,
          TokenBucketBytesPerSecond: limits.clientBytesPerSecond,
          TokenBucketBytesBurst: limits.clientBytesBurst,
        }
      : { version: protocolVersion };
  const nonce = randomBytes(boxNonceLength);
  return encodeServerInfo(nonce, sealBox(Buffer.from(JSON.stringify(info)), nonce, shared));
}
