// The cipher of records and handshakes (ChaCha20-Poly1305, RFC 8439) behind one interface with two implementations,
// because what costs is the call, not the cipher: libsodium's WASM, and node:crypto until that is compiled. Both work in
// the caller's buffer, hold no state and no native handle per key.
import { createCipheriv, createDecipheriv } from "node:crypto";

/** Bytes the tag adds behind a sealed text. */
export const tagLength = 16;

export const keyLength = 32;
export const nonceLength = 12;
export const materialLength = keyLength + nonceLength;
/** Largest text that can be staged: a record's plaintext (protocol §2.5) rounded up. */
export const stageLimit = 4096;

/**
 * The raw cipher, in place: `buffer[start, start+length)` is the text, its tag stands or is written right behind.
 * `material` is key and nonce, one behind the other. `data` is authenticated and not sent: up to 64 bytes, records have
 * none.
 */
export interface Aead {
  readonly name: string;
  /**
   * Lays out `head` and `chunks`, `stageLimit` bytes at most, where `sealStaged` finds them; returns how many they are. The
   * text stays there: what thousands of keys seal is laid out once. It costs nothing when the same two were staged last.
   */
  stage(head: Uint8Array, chunks: readonly Uint8Array[]): number;
  /**
   * Seals what was staged last and writes it and its tag to `out` from `at` on; no associated data.
   */
  sealStaged(material: Uint8Array, out: Uint8Array, at: number): void;
  seal(material: Uint8Array, buffer: Uint8Array, start: number, length: number, data?: Uint8Array): void;
  /** False, with the buffer unchanged, when the tag does not verify. */
  open(material: Uint8Array, buffer: Uint8Array, start: number, length: number, data?: Uint8Array): boolean;
}

/** What is staged, as laid out in memory that may be another one each time. */
export function createStage(limit = stageLimit) {
  let stagedHead: Uint8Array | undefined;
  let stagedChunks: readonly Uint8Array[] | undefined;
  let length = 0;
  return {
    get length(): number {
      return length;
    },
    /** Writes both into `memory` from `at` on unless they stand there. */
    write(memory: Uint8Array, at: number, head: Uint8Array, chunks: readonly Uint8Array[]): number {
      if (head === stagedHead && chunks === stagedChunks) {
        return length;
      }
      stagedHead = stagedChunks = undefined;
      const total = chunks.reduce((sum, chunk) => sum + chunk.length, head.length);
      if (total > limit) {
        throw new RangeError(`at most ${limit} bytes can be staged, not ${total}`);
      }
      memory.set(head, at);
      let end = at + head.length;
      for (const chunk of chunks) {
        memory.set(chunk, end);
        end += chunk.length;
      }
      stagedHead = head;
      stagedChunks = chunks;
      length = total;
      return total;
    },
  };
}

const stage = createStage();
const staged = new Uint8Array(stageLimit);

export const nodeAead: Aead = {
  name: "node:crypto",
  stage: (head, chunks) => stage.write(staged, 0, head, chunks),
  sealStaged(material, out, at) {
    out.set(staged.subarray(0, stage.length), at);
    nodeAead.seal(material, out, at, stage.length);
  },
  seal(material, buffer, start, length, data) {
    const cipher = createCipheriv("chacha20-poly1305", ...keyAndNonce(material), { authTagLength: tagLength });
    if (data !== undefined) {
      cipher.setAAD(data);
    }
    buffer.set(cipher.update(buffer.subarray(start, start + length)), start);
    cipher.final();
    buffer.set(cipher.getAuthTag(), start + length);
  },
  open(material, buffer, start, length, data) {
    const decipher = createDecipheriv("chacha20-poly1305", ...keyAndNonce(material), { authTagLength: tagLength });
    if (data !== undefined) {
      decipher.setAAD(data);
    }
    decipher.setAuthTag(buffer.subarray(start + length, start + length + tagLength));
    const plaintext = decipher.update(buffer.subarray(start, start + length));
    try {
      decipher.final();
    } catch {
      return false;
    }
    buffer.set(plaintext, start);
    return true;
  },
};

function keyAndNonce(material: Uint8Array): [key: Uint8Array, nonce: Uint8Array] {
  return [material.subarray(0, keyLength), material.subarray(keyLength)];
}
