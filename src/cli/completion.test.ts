// The completion scripts in the shells themselves: keys are typed at a terminal, and the line is read back.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { ensureShells } from "../../scripts/system-packages.ts";
import { createAdminWorld } from "../../test/admin-world.ts";
import { generousSeconds } from "../../test/patience.ts";
import { completionScript } from "./completion.ts";
import type { Shell } from "./completion.ts";

interface Place {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
}

/** A server with two users, one of whom has a name that a careless script would run, and `hawser` on the path. */
async function inPlace(shell: Shell, check: (place: Place) => Promise<void>): Promise<void> {
  const world = await createAdminWorld();
  const folder = mkdtempSync(join(tmpdir(), "hawser-shell-"));
  try {
    for (const name of ["alice", "$(touch x)'`touch y`"]) {
      assert.equal((await world.cli(["users", "create", name])).code, 0);
    }
    await world.join(1, 1);
    await world.cli("nodes tag -i 1 -t tag:web");
    const program = join(folder, "bin", "hawser");
    mkdirSync(join(folder, "bin"));
    writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${join(import.meta.dirname, "main.ts")}' "$@"\n`);
    chmodSync(program, 0o755);
    writeFileSync(join(folder, "config.yaml"), `unix_socket: ${world.socketPath}\n`);
    writeFileSync(join(folder, "policy of mine.hujson"), "{}");
    writeFileSync(join(folder, "script"), completionScript(shell, "hawser"));
    const env = {
      PATH: `${join(folder, "bin")}:${process.env["PATH"] ?? ""}`,
      HOME: folder,
      HAWSER_CONFIG: join(folder, "config.yaml"),
      TERM: "dumb",
      LANG: "C.UTF-8",
      NODE_NO_WARNINGS: "1",
    };
    await check({ folder, env });
    assert.ok(!readdirSync(folder).some((name) => name === "x" || name === "y"), "a name was run");
  } finally {
    await world.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Types into an interactive shell, and gives the line as it then stands. `setup` must bind ctrl-X ctrl-P to what prints
 * `<<LINE>>`, and say READY.
 */
function typeInto({ folder, env }: Place, command: string, setup: string, keys: string): Promise<string> {
  const terminal = spawn("script", ["-qfec", command, "/dev/null"], {
    cwd: folder,
    env,
    stdio: ["pipe", "pipe", "pipe"],
  });
  return new Promise((resolve, reject) => {
    let seen = "";
    const late = setTimeout(() => terminal.kill("SIGKILL"), generousSeconds * 1000);
    terminal.on("error", reject);
    terminal.on("close", () => {
      clearTimeout(late);
      reject(new Error(`the shell ended: ${JSON.stringify(seen)}`));
    });
    let typed = false;
    terminal.stdout.on("data", (chunk: Buffer) => {
      seen += chunk.toString();
      if (!typed && /^READY/m.test(seen)) {
        typed = true;
        terminal.stdin.write(`${keys}\u0018\u0010`);
      }
      const line = /<<(.*?)>>/s.exec(typed ? seen.slice(seen.search(/^READY/m)) : "")?.[1];
      if (line !== undefined) {
        clearTimeout(late);
        resolve(line);
        terminal.kill("SIGKILL");
      }
    });
    terminal.stdin.write(setup);
  });
}

function missing(...programs: readonly string[]): string | false {
  const gone = programs.filter((program) => spawnSync(program, ["--version"]).error !== undefined);
  return gone.length > 0 && `not here: ${gone.join(", ")}`;
}

/** In an open quote, too, and nothing that the quote would not hold. */
const quoted: readonly (readonly [keys: string, line: string])[] = [
  ['hawser users list -n "al\t', 'hawser users list -n "alice" '],
  ['hawser users list -n "$\t', 'hawser users list -n "$'],
];

const bashSetup =
  " source ./script; bind 'set bell-style none'; bind -x '\"\\C-x\\C-p\": printf \"<<%s>>\\n\" \"$READLINE_LINE\"'; echo REA''DY\n";

const zshSetup =
  " autoload -U compinit; compinit -u -D; source ./script; p() { print -r -- \"<<$BUFFER>>\" }; zle -N p; bindkey '^X^P' p; print REA''DY\n";

/** What is typed, with tabs, and what then stands there. */
const typing: readonly (readonly [keys: string, line: string])[] = [
  ["hawser pre\t", "hawser preauthkeys "],
  ["hawser nodes appr\t--id\t", "hawser nodes approve-routes --identifier "],
  ["hawser users list -n al\t", "hawser users list -n alice "],
  ["hawser users list --name=al\t", "hawser users list --name=alice "],
  ["hawser users list -o yam\t", "hawser users list -o yaml "],
  ["hawser nodes tag -t tag:w\t", "hawser nodes tag -t tag:web"],
  ["hawser policy fmt policy\t", "hawser policy fmt policy\\ of\\ mine.hujson "],
];

ensureShells();

for (const [shell, command, setup] of [
  ["bash", "bash --norc -i", bashSetup],
  ["zsh", "zsh -f -i", zshSetup],
] as const) {
  test(`${shell} completes commands, flags, names of the server and files`, { skip: missing(shell, "script") }, () =>
    inPlace(shell, async (place) => {
      for (const [keys, line] of typing) {
        assert.equal(await typeInto(place, command, setup, keys), line);
      }
    }),
  );

  test(`${shell} takes a name as a name, whatever it looks like`, { skip: missing(shell, "script") }, () =>
    inPlace(shell, async (place) => {
      const line = await typeInto(place, command, setup, "hawser users list -n \\$\t");
      if (shell === "bash") {
        for (const [keys, wanted] of quoted) {
          assert.equal(await typeInto(place, command, setup, keys), wanted);
        }
      }
      const said = spawnSync(shell, ["-c", line.replace("hawser users list -n", "printf %s")], { encoding: "utf8" });
      assert.equal(said.stdout, "$(touch x)'`touch y`", line);
    }),
  );
}

test("fish completes commands, flags, names of the server and files", { skip: missing("fish") }, () =>
  inPlace("fish", async ({ folder, env }) => {
    const offered = (line: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const script = `source ./script; complete -C ${JSON.stringify(line).replaceAll("$", "\\$")}`;
        const fish = spawn("fish", ["--no-config", "-c", script], {
          cwd: folder,
          env,
          stdio: ["ignore", "pipe", "inherit"],
        });
        const chunks: Buffer[] = [];
        fish.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
        fish.on("error", reject);
        fish.on("close", () => resolve(Buffer.concat(chunks).toString("utf8")));
      });
    assert.equal(await offered("hawser pre"), "preauthkeys\tKeys that devices join with\n");
    assert.equal(await offered("hawser nodes approve-routes --id"), "--identifier\tnode: its id, or its name\n");
    assert.match(await offered("hawser nodes "), /^approve-routes\tSet the approved routes of a node$/m);
    assert.equal(await offered("hawser users list -n al"), "alice\tid 1\n");
    assert.equal(await offered("hawser users list --name=al"), "--name=alice\tid 1\n");
    assert.equal(await offered("hawser users list -o yam"), "yaml\n");
    assert.equal(await offered("hawser nodes tag -t tag:w"), "tag:web\n");
    assert.match(await offered("hawser policy fmt policy"), /^policy of mine\.hujson/);
    assert.match(await offered("hawser users list -n "), /^\$\(touch x\)'`touch y`\tid 2$/m);
  }),
);
