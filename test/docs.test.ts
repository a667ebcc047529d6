// The commands in the documentation, run. A block of shell whose fence says so (```sh test) is run as it stands, block
// after block of one page in one world; a fence of ```text output right behind it is what the block must print, where …
// stands for anything. `<!-- test world: NAME -->` in a page says what it needs:
//
//   fresh     (if nothing is said) an empty installation with its server running
//   headscale a machine that ran headscale 0.29 until now; nothing runs
//
// A world has `hawser`, `headscale` and `bin/hawser` for commands, its own /etc/hawser, /etc/headscale, /var/lib/hawser,
// /var/lib/headscale and /tmp, and a `systemctl` that starts and stops a real server; of headscale itself, which is not
// installed here, it only notes that it was stopped or started.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { freePort } from "./free-port.ts";
import { cleanEnv, type Output, program } from "./hawser-process.ts";
import { installHeadscale } from "./headscale-installation.ts";

const root = join(import.meta.dirname, "..");

interface Block {
  readonly line: number;
  readonly shell: string;
  /** What it must print; undefined: anything. */
  readonly output: string | undefined;
}
interface Page {
  readonly world: string;
  readonly blocks: readonly Block[];
}

function readPage(text: string): Page {
  const lines = text.split("\n");
  const blocks: { line: number; shell: string; output: string | undefined }[] = [];
  let fence: { line: number; info: string; body: string[] } | undefined;
  lines.forEach((line, index) => {
    const mark = /^```(.*)$/.exec(line);
    if (mark === null) {
      fence?.body.push(line);
    } else if (fence === undefined) {
      fence = { line: index + 2, info: (mark[1] ?? "").trim(), body: [] };
    } else {
      const body = fence.body.join("\n");
      const last = blocks.at(-1);
      if (fence.info === "sh test") {
        blocks.push({ line: fence.line, shell: body, output: undefined });
      } else if (fence.info === "text output" && last !== undefined) {
        last.output = body;
      }
      fence = undefined;
    }
  });
  return { world: /<!-- test world: ([a-z]+) -->/.exec(text)?.[1] ?? "fresh", blocks };
}

interface World {
  /** Runs a block; its output is that of both streams, in order. */
  run(shell: string): Promise<Output>;
}

/** Absolute places that pages name, and where they are in the world. */
const places = ["/etc/hawser", "/etc/headscale", "/var/lib/hawser", "/var/lib/headscale", "/run/headscale", "/tmp"];

const anyPlace = new RegExp(`(?<![\\w./-])(?:${places.join("|")})(?=[/\\s'"]|$)`, "gm");

function placeIn(folder: string, place: string): string {
  return join(folder, place.replace(/^\//, "").replace("etc/headscale", "etc").replace("var/lib/headscale", "lib"));
}

async function makeWorld(context: TestContext, kind: string): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), "hawser-docs-"));
  const { config, url } = kind === "headscale" ? await headscaleWorld(folder) : await freshWorld(folder);
  for (const place of places) {
    mkdirSync(placeIn(folder, place), { recursive: true });
  }
  const commands = join(folder, "commands");
  mkdirSync(commands);
  symlinkSync(join(root, "bin"), join(folder, "bin"));
  for (const name of ["hawser", "headscale"]) {
    script(join(commands, name), `exec "${join(root, "bin", name)}" "$@"`);
  }
  script(join(commands, "systemctl"), systemctl(folder, config, url));
  script(join(commands, "sudo"), 'exec "$@"');
  const env = cleanEnv({
    PATH: `${commands}:${process.env["PATH"] ?? ""}`,
    HAWSER_CONFIG: config,
    HAWSER_DATA_DIR: placeIn(folder, "/var/lib/hawser"),
    HOME: folder,
    NO_COLOR: "1",
  });
  const run = async (shell: string): Promise<Output> => {
    const text = shell.replace(anyPlace, (place) => placeIn(folder, place));
    const child = spawn("sh", ["-eu", "-c", text], { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
    const out = { stdout: "", stderr: "" };
    for (const stream of ["stdout", "stderr"] as const) {
      child[stream].on("data", (chunk: Buffer) => {
        out[stream] += chunk.toString().replaceAll(folder, "");
      });
    }
    const [code] = (await once(child, "close")) as [number | null];
    return { code, ...out };
  };
  context.after(async () => {
    await run("systemctl stop hawser");
    rmSync(folder, { recursive: true, force: true });
  });
  if (kind !== "headscale") {
    const started = await run("systemctl start hawser");
    assert.equal(started.code, 0, started.stderr);
  }
  return { run };
}

async function headscaleWorld(folder: string): Promise<{ config: string; url: string }> {
  const { configFile, url } = await installHeadscale(folder);
  return { config: configFile, url };
}

async function freshWorld(folder: string): Promise<{ config: string; url: string }> {
  const port = await freePort();
  const config = join(folder, "etc", "hawser", "config.yaml");
  mkdirSync(join(folder, "etc", "hawser"), { recursive: true });
  const url = `http://127.0.0.1:${port}`;
  writeFileSync(
    config,
    `server_url: ${url}
listen_addr: 127.0.0.1:${port}
grpc_listen_addr: ""
derp: {server: {stun_listen_addr: "127.0.0.1:0"}}
policy: {mode: database}
`,
  );
  return { config, url };
}

function script(path: string, body: string): void {
  writeFileSync(path, `#!/bin/sh\nset -eu\n${body}\n`);
  chmodSync(path, 0o755);
}

/** `start`, `stop`, `reload`, `enable --now`, `disable --now` of hawser.service; headscale.service is taken note of. */
function systemctl(folder: string, config: string, url: string): string {
  const pid = join(folder, "hawser.pid");
  return `
verb=$1; shift
case "$*" in *headscale*) echo "$verb headscale" >> ${folder}/headscale.log; exit 0 ;; esac
case "$verb" in
  start|enable)
    "${program}" --config ${config} serve > ${folder}/hawser.log 2>&1 &
    echo $! > ${pid}
    for i in $(seq 900); do
      curl -fsS -o /dev/null ${url}/health 2>/dev/null && exit 0
      kill -0 "$(cat ${pid})" 2>/dev/null || break
      sleep 0.1
    done
    cat ${folder}/hawser.log >&2; exit 1 ;;
  reload) kill -HUP "$(cat ${pid})" ;;
  stop|disable)
    [ -f ${pid} ] || exit 0
    kill "$(cat ${pid})" 2>/dev/null || true
    while kill -0 "$(cat ${pid})" 2>/dev/null; do sleep 0.1; done
    rm -f ${pid} ;;
esac`;
}

/** The text as a pattern: … is anything, and how wide a space is does not count. */
function patternOf(output: string): RegExp {
  const escaped = normal(output)
    .split("…")
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    .join("[^]*?");
  return new RegExp(`^${escaped}$`);
}

function normal(text: string): string {
  return text
    .replace(/[ \t]+/g, " ")
    .replace(/ $/gm, "")
    .trim();
}

for (const path of globSync(["README.md", "docs/**/*.md", "packaging/**/*.md"], { cwd: root }).sort()) {
  const page = readPage(readFileSync(join(root, path), "utf8"));
  if (page.blocks.length > 0) {
    test(`${path}: its commands work as they stand`, async (context) => {
      const world = await makeWorld(context, page.world);
      for (const { line, shell, output } of page.blocks) {
        const said = await world.run(shell);
        assert.equal(said.code, 0, `${path}:${line}: ended with ${said.code}\n${said.stdout}${said.stderr}`);
        if (output !== undefined) {
          assert.match(normal(said.stdout), patternOf(output), `${path}:${line}`);
        }
      }
    });
  }
}

test("blocks are found by their fences, with what they print", () => {
  const text = [
    "<!-- test world: headscale -->",
    "```sh test",
    "echo a",
    "echo b",
    "```",
    "",
    "```text output",
    "a",
    "…",
    "```",
    "```sh",
    "no",
    "```",
  ];
  assert.deepEqual(readPage(text.join("\n")), {
    world: "headscale",
    blocks: [{ line: 3, shell: "echo a\necho b", output: "a\n…" }],
  });
  assert.match(normal("a  \nanything\n"), patternOf("a\n…"));
  assert.doesNotMatch("b", patternOf("a…"));
});

test("a command that fails is found", async (context) => {
  const world = await makeWorld(context, "fresh");
  assert.equal((await world.run("hawser users list > /dev/null")).code, 0);
  assert.notEqual((await world.run("hawser users explode --now\nhawser users create\ntrue")).code, 0);
});
