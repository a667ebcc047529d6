import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { lockData } from "./data-lock.ts";

const holder = `
  const { lockData } = await import(process.argv[1]);
  const outcome = lockData(process.argv[2]);
  console.log(outcome.ok ? "held" : outcome.reason);
  setInterval(() => {}, 1000);
`;

async function hold(path: string) {
  const module = new URL("./data-lock.ts", import.meta.url).href;
  const child = spawn(process.execPath, ["--input-type=module", "-e", holder, module, path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return { child, said: line.toString().trim() };
}

test("a second server on the same data is refused and told who holds it, until the holder is killed", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hawser-lock-"));
  const path = join(folder, "data", "db.sqlite");
  const first = await hold(path);
  try {
    assert.equal(first.said, "held");
    const refused = lockData(path);
    assert.equal(refused.ok, false);
    assert.match(
      refused.ok ? "" : refused.reason,
      new RegExp(`db\\.sqlite is in use by process ${first.child.pid} on `),
    );
    first.child.kill("SIGKILL");
    await once(first.child, "exit");
    const taken = lockData(path);
    assert.equal(taken.ok, true);
    const again = lockData(path);
    assert.match(again.ok ? "" : again.reason, new RegExp(`process ${process.pid} on `));
    if (taken.ok) {
      taken.lock.release();
    }
    const free = lockData(path);
    assert.equal(free.ok, true);
    if (free.ok) {
      free.lock.release();
    }
    assert.equal(statSync(`${path}.lock`).mode & 0o777, 0o600);
  } finally {
    first.child.kill("SIGKILL");
    rmSync(folder, { recursive: true });
  }
});
