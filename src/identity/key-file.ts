// The server's private keys on disk: `privkey:<64 hex>` in a file of its own, mode 0600, as headscale keeps them.
// A key is never replaced: the Noise key is what every client knows the server by.
import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { generatePrivateKey, parsePrivateKey, type PrivateKey, privateKeyText } from "../wire/keys.ts";

export interface KeyFile {
  readonly key: PrivateKey;
  readonly created: boolean;
  /** Others than the owner may read the file. */
  readonly exposed: boolean;
}

/** Reads the key, or makes one when there is no file. Throws when the file is there and is not a key. */
export function loadOrCreateKey(path: string): KeyFile {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      return { key: create(path), created: true, exposed: false };
    }
    throw error;
  }
  const key = parsePrivateKey(text);
  if (key === undefined) {
    throw new Error(`${path} does not hold a private key (privkey: and 64 hexadecimal digits); it was left as it is`);
  }
  return { key, created: false, exposed: (statSync(path).mode & 0o077) !== 0 };
}

function create(path: string): PrivateKey {
  const key = generatePrivateKey();
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.new`;
  const file = openSync(draft, "w", 0o600);
  try {
    chmodSync(draft, 0o600);
    writeSync(file, `${privateKeyText(key)}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(draft, path);
  const folder = openSync(dirname(path), "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
  return key;
}
