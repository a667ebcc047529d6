// Buffers for sealing large writes, used again once the system has taken their bytes. A storm of full maps would else
// leave a thousand buffers of 64 KB behind for the garbage collector, and as many holes in the allocator's heap.
import { maxFrameLength, sealedLength } from "../wire/record.ts";

/** Plaintext bytes sealed in one go; a socket holds about as much before it is full. */
export const sealStep = 65_536;
/** Below this many bytes a buffer of its own costs less than the way through the pool. */
export const pooledFrom = 8192;

export interface SealBuffers {
  /** Room for `sealStep` bytes and their overhead; its content is what it was. */
  take(): Buffer;
  /** The taker promises that nothing reads it any more. */
  giveBack(buffer: Buffer): void;
  /** Room of this length, at most one record, for as long as it takes to seal and write it. Mostly the very same object. */
  small(length: number): Buffer;
  /** What `small` gave last is still being read; there is another from now on. */
  loseSmall(): void;
  /** Lets go of those that nobody needed since this was last called: a storm's buffers are not held for ever. */
  rest(): void;
}

/**
 * `keep`: how many idle buffers are held. The bytes of more are freed at once: garbage of 64 KB waits for the next
 * collection of the old generation, which may be minutes away, and a storm leaves hundreds.
 */
export function createSealBuffers(keep = 128): SealBuffers {
  const size = sealedLength(sealStep);
  const idle: Buffer[] = [];
  let unneeded = 0;
  let record = Buffer.allocUnsafeSlow(maxFrameLength);
  let small = record;
  return {
    small(length) {
      if (small.length !== length) {
        small = record.subarray(0, length);
      }
      return small;
    },
    loseSmall() {
      record = small = Buffer.allocUnsafeSlow(maxFrameLength);
    },
    take() {
      const buffer = idle.pop();
      unneeded = Math.min(unneeded, idle.length);
      return buffer ?? Buffer.allocUnsafeSlow(size);
    },
    giveBack(buffer) {
      if (idle.length < keep) {
        idle.push(buffer);
      } else {
        free(buffer);
      }
    },
    rest() {
      // Those at the front are used last.
      for (const buffer of idle.splice(0, unneeded)) {
        free(buffer);
      }
      unneeded = idle.length;
    },
  };
}

/** Moves the bytes to an owner that wants none of them; the buffer has no length any more. */
function free({ buffer }: Buffer): void {
  if (buffer instanceof ArrayBuffer) {
    buffer.transfer(0);
  }
}
