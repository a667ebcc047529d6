// zstd as map messages use it (RFC 8878; protocol §4.3): frames that stand for themselves, which may follow one another
// in one message. A small message is wrapped in raw blocks, because a compressor's set-up costs more than it saves.
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";

const magic = 0xfd2f_b528;
/** Single segment, content size in four bytes, no checksum, no dictionary: the window is the content. */
const descriptor = 0xa0;
const frameHeaderLength = 4 + 1 + 4;
const blockHeaderLength = 3;
/** Block_Maximum_Size: the smaller of this and the window, which here is the content. */
const maxBlockLength = 128 * 1024;

/** Bytes of a raw frame around `length` bytes. */
export function rawFrameLength(length: number): number {
  return frameHeaderLength + Math.max(1, Math.ceil(length / maxBlockLength)) * blockHeaderLength + length;
}

/** A frame that carries the concatenation of `chunks` uncompressed, in one new buffer. */
export function rawFrame(...chunks: readonly Uint8Array[]): Buffer {
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const out = Buffer.allocUnsafe(rawFrameLength(length));
  out.writeUInt32LE(magic, 0);
  out[4] = descriptor;
  out.writeUInt32LE(length, 5);
  let at = frameHeaderLength;
  let blockLeft = 0;
  let left = length;
  const startBlock = (): void => {
    blockLeft = Math.min(left, maxBlockLength);
    left -= blockLeft;
    // Last_Block, Block_Type 0 (raw), Block_Size.
    out.writeUIntLE((left === 0 ? 1 : 0) | (blockLeft << 3), at, blockHeaderLength);
    at += blockHeaderLength;
  };
  startBlock();
  for (const chunk of chunks) {
    let from = 0;
    while (from < chunk.length) {
      if (blockLeft === 0) {
        startBlock();
      }
      const count = Math.min(blockLeft, chunk.length - from);
      out.set(from === 0 && count === chunk.length ? chunk : chunk.subarray(from, from + count), at);
      at += count;
      from += count;
      blockLeft -= count;
    }
  }
  return out;
}

/** Level 1: on peers' JSON it is both quicker and smaller than the default. */
const params = { [constants.ZSTD_c_compressionLevel]: 1 };
/** The most that a frame's header, its blocks' headers and its checksum may add to what does not get smaller. */
const roomForHeaders = 64;
/**
 * Output is gathered in buffers of just what is needed where that is little (the runtime's own are 16 KB always), else of
 * this size: too large for the runtime to cut it out of the pool that others share, so that it can be freed at once.
 */
const largeChunk = 40 * 1024;
const smallChunk = 4 * 1024;

/** One compressed frame. Costs about 30 µs before the first byte: for what is shared or large. */
export function compress(bytes: Uint8Array): Buffer {
  const most = bytes.length + roomForHeaders;
  const chunkSize = most <= smallChunk ? most : largeChunk;
  const out = zstdCompressSync(bytes, { params, chunkSize });
  const { buffer } = out;
  if (!(buffer instanceof ArrayBuffer) || buffer.byteLength !== largeChunk || out.length === largeChunk) {
    return out;
  }
  // A thousand clients that connect would leave as many chunks to the collector, which comes minutes later.
  const kept = Buffer.allocUnsafeSlow(out.length);
  kept.set(out);
  buffer.transfer(0);
  return kept;
}

/**
 * Decodes all frames of a message. Undefined when a frame is broken, or when the result would be longer than
 * `maxLength`, which is what stops a small message from becoming a huge one.
 */
export function decompress(bytes: Uint8Array, maxLength: number): Buffer | undefined {
  try {
    return zstdDecompressSync(bytes, { maxOutputLength: maxLength });
  } catch {
    return undefined;
  }
}
