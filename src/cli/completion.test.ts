import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import test from "node:test";
import { commandTree } from "./commands.ts";
import { completionScript } from "./completion.ts";

/** What bash offers at the end of these words. */
function offered(...words: string[]): string[] {
  const script = `${completionScript("bash", commandTree, "hawser")}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")})
COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
_hawser_complete
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync("bash", ["--norc", "-c", script], { encoding: "utf8" });
  assert.deepEqual([status, stderr], [0, ""]);
  return stdout.split("\n").filter((line) => line !== "");
}

const noBash = spawnSync("bash", ["-c", "true"]).status !== 0 && "bash is not here";

test("bash completes commands, by any of their names, and flags", { skip: noBash }, () => {
  assert.deepEqual(offered("hawser", "pre"), ["preauthkeys"]);
  assert.deepEqual(offered("hawser", "nodes", "ap"), ["approve-routes"]);
  assert.deepEqual(offered("hawser", "node", "ap"), ["approve-routes"]);
  assert.deepEqual(offered("hawser", "preauthkeys", "create", "--re"), ["--reusable"]);
  assert.deepEqual(offered("hawser", "users", "list", "-o", "js"), ["json", "json-line"]);
  assert.deepEqual(offered("hawser", "-o", "json", "users", "cr"), ["create"]);
});

test("hidden commands and flags are not offered", { skip: noBash }, () => {
  assert.ok(!offered("hawser", "").includes("routes"));
  assert.ok(!offered("hawser", "apikeys", "create", "--").includes("--reusable"));
});

test("every shell gets every command", () => {
  for (const shell of ["bash", "zsh", "fish", "powershell"] as const) {
    const script = completionScript(shell, commandTree, "headscale");
    for (const word of ["preauthkeys", "approve-routes", "--reusable".slice(shell === "fish" ? 2 : 0)]) {
      assert.ok(script.includes(word), `${shell}: ${word}`);
    }
    assert.ok(script.includes("headscale") && !script.includes("hawser"), shell);
  }
});
