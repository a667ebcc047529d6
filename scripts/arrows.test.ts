import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { checkArrows } from "./arrows.ts";

function houseOf(files: Readonly<Record<string, string>>): string {
  const src = mkdtempSync(join(tmpdir(), "hawser-arrows-"));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(src, name)), { recursive: true });
    writeFileSync(join(src, name), text);
  }
  return src;
}

function problems(files: Readonly<Record<string, string>>): string[] {
  const src = houseOf(files);
  try {
    return checkArrows(src).map((fault) => fault.problem);
  } finally {
    rmSync(src, { recursive: true });
  }
}

test("an arrow against the direction is a fault", () => {
  assert.deepEqual(problems({ "tailnet/a.ts": 'import { x } from "../control/b.ts";\n' }), [
    "tailnet/ may not import from control/",
  ]);
});

test("an import spread over lines is seen", () => {
  assert.deepEqual(problems({ "ip/a.ts": 'import {\n  x,\n  y,\n} from "../policy/b.ts";\n' }), [
    "ip/ may not import from policy/",
  ]);
});

test("policy may take types from wire, but no code", () => {
  assert.deepEqual(problems({ "policy/a.ts": 'import type { X } from "../wire/ids.ts";\n' }), []);
  assert.equal(problems({ "policy/a.ts": 'import { x } from "../wire/ids.ts";\n' }).length, 1);
});

test("pure rooms know no clock, chance, timers or Node modules", () => {
  for (const line of ["const t = Date.now();", "setTimeout(f, 1);", 'import { readFileSync } from "node:fs";']) {
    assert.equal(problems({ "netmap/a.ts": `${line}\n` }).length, 1, line);
  }
});
