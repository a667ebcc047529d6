import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, suite, test } from "node:test";
import type { BuildResult } from "./build.ts";
import { build } from "./build.ts";

const root = join(import.meta.dirname, "..");
const scratch = mkdtempSync(join(tmpdir(), "hawser-build-"));
const dist = join(scratch, "dist");

/** Reports, when the program ends, every module file it loaded. */
const reporter = `import { registerHooks } from "node:module";
const loaded = [];
registerHooks({ load: (url, context, next) => { loaded.push(url); return next(url, context); } });
process.on("exit", () => process.send?.(loaded));`;

interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** File URLs, in the order of loading. */
  readonly loaded: readonly string[];
}

function run(words: readonly string[]): Promise<Run> {
  return new Promise((done, fail) => {
    const child = spawn(
      process.execPath,
      ["--import", `data:text/javascript,${encodeURIComponent(reporter)}`, join(dist, "hawser.js"), ...words],
      { cwd: scratch, env: { HOME: scratch, NODE_NO_WARNINGS: "1" }, stdio: ["ignore", "pipe", "pipe", "ipc"] },
    );
    const texts = { stdout: "", stderr: "" };
    let loaded: readonly string[] = [];
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (texts.stdout += text));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (texts.stderr += text));
    child.on("message", (message) => {
      loaded = Array.isArray(message) ? message.map(String).filter((url) => url.startsWith("file:")) : [];
    });
    child.on("error", fail);
    child.on("close", (code) => done({ code, ...texts, loaded }));
  });
}

/** How much code those files hold. The server alone is more than a megabyte. */
function codeBytes(loaded: readonly string[]): number {
  return loaded.reduce((sum, url) => sum + statSync(fileURLToPath(url)).size, 0);
}

suite("the built program", () => {
  let first: BuildResult;
  before(async () => {
    first = await build(dist);
    assert.ok(first.files > 5 && first.bytes > 100_000);
  });
  after(() => rmSync(scratch, { recursive: true, force: true }));

  test("a command that needs no server loads few modules, and nothing of the server", async (context) => {
    const start = performance.now();
    const { code, stdout, loaded } = await run(["version"]);
    context.diagnostic(
      `hawser version: ${Math.round(performance.now() - start)} ms, ${loaded.length} modules, ${codeBytes(loaded)} bytes`,
    );
    assert.equal(code, 0);
    assert.match(stdout, /^hawser version \d+\.\d+\.\d+\ncommit: [0-9a-f]{40}|unknown/);
    assert.ok(loaded.length > 0 && loaded.length <= 20, loaded.join("\n"));
    assert.ok(codeBytes(loaded) < 100_000, `${codeBytes(loaded)} bytes of code`);
  });

  test("a command that asks a server loads the client and not the server", async (context) => {
    const start = performance.now();
    const { code, stderr, loaded } = await run(["users", "list"]);
    context.diagnostic(
      `hawser users list: ${Math.round(performance.now() - start)} ms, ${loaded.length} modules, ${codeBytes(loaded)} bytes`,
    );
    assert.equal(code, 1);
    assert.match(stderr, /no server is listening/);
    assert.ok(loaded.length <= 40, loaded.join("\n"));
    assert.ok(codeBytes(loaded) < 300_000, `${codeBytes(loaded)} bytes of code`);
  });

  test("the configuration is checked without the server, and without YAML when there is no file", async () => {
    const { code, loaded } = await run(["doctor", "config", "-o", "json"]);
    assert.equal(code, 0);
    assert.ok(loaded.some((url) => url.includes("/load-")));
    assert.ok(!loaded.some((url) => url.includes("yaml-source")));
    assert.ok(codeBytes(loaded) < 300_000, `${codeBytes(loaded)} bytes of code`);
  });

  test("it serves, with its connections on threads of their own", async () => {
    const folder = join(scratch, "served");
    mkdirSync(folder);
    const config = join(folder, "config.yaml");
    writeFileSync(
      config,
      `data_dir: ${folder}
server_url: http://127.0.0.1:1
listen_addr: 127.0.0.1:0
metrics_listen_addr: ""
derp: { server: { enabled: false }, urls: [] }
dns: { magic_dns: true, base_domain: build.internal, override_local_dns: false }
control: { threads: 2 }
`,
    );
    const child = spawn(process.execPath, [join(dist, "hawser.js"), "serve", "--config", config], {
      cwd: folder,
      env: { HOME: folder, NODE_NO_WARNINGS: "1" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    const port = await new Promise<string>((done, fail) => {
      const listen = (text: string) => {
        said += text;
        const found = /http:\/\/127\.0\.0\.1:([1-9]\d+)/.exec(said)?.[1];
        if (found !== undefined) {
          done(found);
        }
      };
      child.stdout.setEncoding("utf8").on("data", listen);
      child.stderr.setEncoding("utf8").on("data", listen);
      child.on("close", () => fail(new Error(`the server ended:\n${said}`)));
    });
    try {
      const answer = await fetch(`http://127.0.0.1:${port}/key?v=142`);
      assert.match(await answer.text(), /mkey:[0-9a-f]{64}/, said);
    } finally {
      child.removeAllListeners("close");
      const ended = new Promise((done) => child.on("close", done));
      child.kill("SIGTERM");
      await ended;
    }
  });

  test("the same sources give as many files and bytes", async () => {
    const again = await build(join(scratch, "again"));
    assert.deepEqual([again.files, again.bytes], [first.files, first.bytes]);
  });
});

test("the wrapper is a shell script that finds the project's Node", async () => {
  const code = await new Promise((done) =>
    spawn("sh", [join(root, "bin/hawser"), "version"], { stdio: "ignore" }).on("close", done),
  );
  assert.equal(code, 0);
});
