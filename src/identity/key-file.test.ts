import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { loadOrCreateKey } from "./key-file.ts";

test("a key is made once, for its owner alone, and found again", (context) => {
  const folder = mkdtempSync(join(tmpdir(), "hawser-key-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "deep", "noise.key");
  const first = loadOrCreateKey(path);
  assert.equal(first.created, true);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.match(readFileSync(path, "utf8"), /^privkey:[0-9a-f]{64}\n$/);
  const again = loadOrCreateKey(path);
  assert.deepEqual(
    { created: again.created, exposed: again.exposed, key: again.key.publicRaw },
    { created: false, exposed: false, key: first.key.publicRaw },
  );
  chmodSync(path, 0o644);
  assert.equal(loadOrCreateKey(path).exposed, true);
});

test("a file that is no key stops the start and stays as it is", (context) => {
  const folder = mkdtempSync(join(tmpdir(), "hawser-key-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "noise.key");
  writeFileSync(path, "privkey:abc");
  assert.throws(() => loadOrCreateKey(path), /does not hold a private key/);
  assert.equal(readFileSync(path, "utf8"), "privkey:abc");
});
