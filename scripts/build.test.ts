import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
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

  test("the build is as old as its beginning, so that an edit meanwhile is newer", () => {
    const built = statSync(join(dist, ".built")).mtimeMs;
    const written = readdirSync(dist, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".js"))
      .map((name) => statSync(join(dist, name)).mtimeMs);
    assert.ok(written.length > 5 && written.every((time) => time > built));
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

suite("the wrapper never runs a stale build", () => {
  const checkout = mkdtempSync(join(tmpdir(), "hawser-wrapper-"));
  after(() => rmSync(checkout, { recursive: true, force: true }));
  const files = {
    "src/cli/main.ts": 'console.log("sources");',
    "src/cli/main.test.ts": "",
    "dist/hawser.js": 'console.log("built");',
    "dist/.built": "",
    "package.json": '{ "type": "module" }',
    "package-lock.json": "{}",
    "scripts/build.ts": "",
  };
  const at = (name: string): string => join(checkout, name);

  /** Everything as old as that but the files named; what the wrapper then runs. */
  async function runs(newer: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(at(name)), { recursive: true });
      writeFileSync(at(name), text);
      const time = new Date(newer.includes(name) ? 2000 : 1000);
      utimesSync(at(name), time, time);
    }
    const child = spawn("sh", [at("bin/hawser")], {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "ignore"],
    });
    let said = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
    await new Promise((done) => child.on("close", done));
    return said.trim();
  }

  before(() => {
    for (const name of ["bin/hawser", "scripts/node-path.sh"]) {
      mkdirSync(dirname(at(name)), { recursive: true });
      copyFileSync(join(root, name), at(name));
    }
    symlinkSync(join(root, "node_modules"), at("node_modules"));
  });

  test("it runs the build while everything that went into it is older", async () => {
    assert.equal(await runs([]), "built");
    assert.equal(await runs(["src/cli/main.test.ts"]), "built");
  });

  for (const name of ["src/cli/main.ts", "package.json", "package-lock.json", "scripts/build.ts"]) {
    test(`it runs the sources when ${name} is newer`, async () => {
      assert.equal(await runs([name]), "sources");
    });
  }

  test("it runs the sources when it cannot find out", async () => {
    const tools = at("tools");
    mkdirSync(tools);
    writeFileSync(join(tools, "find"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    assert.equal(await runs([], { PATH: `${tools}:${process.env["PATH"] ?? ""}` }), "sources");
  });

  test("it runs the build where there are no sources", async () => {
    assert.equal(await runs([]), "built");
    rmSync(at("src"), { recursive: true });
    const { stdout } = spawnSync("sh", [at("bin/hawser")], { encoding: "utf8" });
    assert.equal(stdout.trim(), "built");
  });
});
