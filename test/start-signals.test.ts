// Signals that come while the server starts: whoever started it need not wait until it answers.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { cleanEnv, program } from "./hawser-process.ts";
import { until } from "./patience.ts";
import { programWorld, type ProgramWorld } from "./program-world.ts";

interface Starting {
  readonly child: ChildProcess;
  readonly said: () => string;
}

/** The server when it has begun with its database, which is long before it answers. */
async function starting(context: TestContext, { folder }: ProgramWorld): Promise<Starting> {
  const child = spawn(program, ["--config", join(folder, "config.yaml"), "serve"], {
    env: cleanEnv({}),
    stdio: ["ignore", "pipe", "pipe"],
  });
  context.after(() => child.kill("SIGKILL"));
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => (said += text));
  }
  await until("the database is there", () => existsSync(join(folder, "db.sqlite")));
  return { child, said: () => said };
}

test("SIGHUP during the start does not kill the server", async (context) => {
  const world = await programWorld(context);
  const { child, said } = await starting(context, world);
  child.kill("SIGHUP");
  await until("it serves", () => said().includes("serving "));
  const users = await world.json("users", "list");
  assert.deepEqual(users ?? [], []);
  assert.equal(child.signalCode, null);
});

test("SIGTERM during the start ends the server in order", async (context) => {
  const world = await programWorld(context);
  const { child, said } = await starting(context, world);
  child.kill("SIGTERM");
  const [code, signal] = (await once(child, "exit")) as [number | null, string | null];
  assert.deepEqual([code, signal], [0, null], said());
  assert.equal(existsSync(join(world.folder, "hawser.sock")), false);
});
