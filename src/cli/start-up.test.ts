// A command starts in a moment because it loads little. Counted here, because milliseconds depend on the machine.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import test from "node:test";

const src = join(import.meta.dirname, "..");

/** Files and packages that loading a file loads, dynamic imports left out. */
function loaded(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) {
    return seen;
  }
  seen.add(file);
  if (!file.startsWith("/") || !file.endsWith(".ts")) {
    return seen;
  }
  const text = readFileSync(file, "utf8")
    .replaceAll(/^import type [^;]*;/gm, "")
    .replaceAll(/^export type [^;]*;/gm, "");
  for (const [, target = ""] of text.matchAll(/^(?:import|export)\s[^;]*?from\s+"([^"]+)"/gm)) {
    loaded(target.startsWith(".") ? join(dirname(file), target) : target, seen);
  }
  return seen;
}

function names(file: string): string[] {
  return [...loaded(join(src, file))].map((entry) => (entry.startsWith("/") ? relative(src, entry) : entry));
}

test("the program itself loads the tree of commands and no package", () => {
  const all = names("cli/main.ts");
  assert.deepEqual(all.filter((name) => !name.endsWith(".ts") && !name.endsWith(".json")).sort(), ["node:path"]);
  assert.ok(all.length <= 20, all.join(" "));
});

test("commands that talk to a server load no server code and no package", () => {
  for (const file of ["users", "keys", "nodes", "auth", "policy", "audit", "server"]) {
    const all = names(`cli/commands/${file}.ts`);
    assert.deepEqual(
      all
        .filter((name) => !name.startsWith("cli/") && !name.startsWith("node:") && !name.endsWith(".json"))
        .filter(
          (name) =>
            !/^api\/(build-info|call|calls|own-calls|message|messages|own-messages|rpc-error|json-dialect|timestamp)\.ts$/.test(
              name,
            ),
        ),
      [],
      file,
    );
    assert.ok(all.length <= 30, `${file}: ${all.length}`);
  }
});
