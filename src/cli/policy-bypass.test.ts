// Setting the policy in the database of a server that does not run: the same words and questions as with one.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { type Env, cleanEnv, type Output, program, runProgram } from "../../test/hawser-process.ts";
import { installHeadscale } from "../../test/headscale-installation.ts";
import { scratchFolder } from "../../test/scratch-folder.ts";

const open = '{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]}';
const closed = '{"acls": []}';
const bypass = "--bypass-grpc-and-access-database-directly";

interface World {
  /** Without a terminal. */
  readonly run: (words: readonly string[]) => Promise<Output>;
  /** What a terminal shows when these lines are typed. */
  readonly atTerminal: (words: readonly string[], typed: string) => Promise<string>;
  readonly file: (policy: string) => string;
}

async function world(context: TestContext): Promise<World> {
  const folder = scratchFolder(context, "bypass");
  const { configFile } = await installHeadscale(folder);
  const env: Env = { HAWSER_DATA_DIR: join(folder, "hawser"), HAWSER_POLICY_MODE: "database", TERM: "dumb" };
  const run: World["run"] = (words) => runProgram(["--config", configFile, ...words], env);
  assert.equal((await run(["takeover"])).code, 0);
  let files = 0;
  return {
    run,
    async atTerminal(words, typed) {
      const command = [program, "--config", configFile, ...words].map((word) => `'${word}'`).join(" ");
      const terminal = spawn("script", ["-qfec", command, "/dev/null"], { env: cleanEnv(env) });
      let shown = "";
      terminal.stdout.on("data", (chunk: Buffer) => {
        shown += chunk.toString();
      });
      // All at once, as people type who know the questions.
      terminal.stdin.write(typed);
      await once(terminal, "close");
      return shown.replaceAll("\r", "");
    },
    file(policy) {
      files += 1;
      const path = join(folder, `policy-${files}.hujson`);
      writeFileSync(path, policy);
      return path;
    },
  };
}

const noTerminal = spawnSync("script", ["--version"]).error !== undefined && "script is not here";

test("in a script it says on stderr who gains and who loses", async (context) => {
  const { run, file } = await world(context);
  const opened = await run(["policy", "set", bypass, "--force", "-f", file(open)]);
  assert.deepEqual([opened.code, opened.stdout], [0, "Policy updated.\n"], opened.stderr);
  const shut = await run(["policy", "set", bypass, "--force", "-f", file(closed)]);
  assert.deepEqual([shut.code, shut.stdout], [0, "Policy updated.\n"]);
  assert.match(shut.stderr, /^Access:\n[^]* {4}- .*\n[^]*Pairs of nodes that may do more: 0; that may do less: 2\.\n$/);
  const again = await run(["policy", "set", bypass, "--force", "-f", file(closed)]);
  assert.equal(again.stderr, "", "nothing new, nothing said");
  const faulty = await run(["policy", "set", bypass, "--force", "-f", file('{"acls": 1}')]);
  assert.equal(faulty.code, 1);
  assert.match(faulty.stderr, /^Error: setting policy: /);
});

test("at a terminal it asks a second time when somebody loses access", { skip: noTerminal }, async (context) => {
  const { run, atTerminal, file } = await world(context);
  await run(["policy", "set", bypass, "--force", "-f", file(open)]);
  const words = ["policy", "set", bypass, "-f", file(closed)];
  const no = await atTerminal(words, "y\nn\n");
  assert.match(no, /are you sure hawser is not running\? \[y\/n\] /);
  assert.match(
    no,
    /that may do less: 2\.\n[^]*Somebody loses access\. Do you want to put this policy in force\? \[y\/n\] /,
  );
  assert.match(no, /Policy not changed\n$/);
  assert.equal((await run(["policy", "get", bypass, "--force"])).stdout, `${open}\n`);
  assert.match(await atTerminal(words, "y\ny\n"), /Policy updated\.\n$/);
  assert.equal((await run(["policy", "get", bypass, "--force"])).stdout, `${closed}\n`);
});
