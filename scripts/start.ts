// `npm start`: a server that works without any configuration, and says what to do next.
// `npm start -- --config FILE` reads a configuration instead of looking for one.
import { userInfo } from "node:os";
import { parseArgs } from "node:util";
import { loadConfig } from "../src/config/load.ts";
import type { Config } from "../src/config/config.ts";
import { guardProcess } from "../src/ops/fault-guard.ts";
import { createLogger, type Logger } from "../src/ops/logger.ts";
import { type RunningServer, StartError, startServer } from "../src/server.ts";
import type { Actor } from "../src/tailnet/contract.ts";
import type { User } from "../src/tailnet/model.ts";

const usage = `npm start                       start a server with what is configured, or with defaults
npm start -- --config FILE      read FILE (a headscale config.yaml does)
npm start -- --no-key           do not make a key for the first machine
`;
const actor: Actor = { kind: "server", id: "npm start", from: "" };
const hour = 3_600_000;

await main();

async function main(): Promise<void> {
  const { values } = readArguments();
  if (values.help) {
    process.stdout.write(usage);
    return;
  }
  const config = await readConfig(values.config);
  if (config === undefined) {
    process.exitCode = 1;
    return;
  }
  const log = createLogger(config.log);
  guardProcess(log, () => process.exit(70));
  let server: RunningServer;
  try {
    server = await startServer(config, { log });
  } catch (error) {
    const text = error instanceof StartError ? error.message : error instanceof Error ? error.stack : String(error);
    process.stderr.write(`\nThe server did not start: ${text}\n`);
    process.exitCode = 1;
    return;
  }
  stopOnSignals(server, log);
  process.stdout.write(await greeting(server, values["no-key"]));
}

function readArguments() {
  try {
    return parseArgs({
      options: {
        config: { type: "string", short: "c" },
        "no-key": { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
    process.exit(2);
  }
}

async function readConfig(file: string | undefined): Promise<Config | undefined> {
  const { config, findings, file: found } = await loadConfig(file === undefined ? {} : { file });
  for (const { severity, line, text } of findings) {
    if (severity !== "info") {
      process.stderr.write(`${severity}: ${found ?? "configuration"}${line === null ? "" : `:${line}`}: ${text}\n`);
    }
  }
  return config;
}

function stopOnSignals(server: RunningServer, log: Logger): void {
  let isStopping = false;
  for (const signal of ["SIGINT", "SIGTERM", "SIGQUIT"] as const) {
    process.on(signal, () => {
      if (isStopping) {
        // Whoever asks twice does not want to wait.
        process.exit(1);
      }
      isStopping = true;
      void server.stop().then(
        () => process.exit(0),
        (error: unknown) => {
          log.error({ fault: error instanceof Error ? (error.stack ?? "") : String(error) }, "the stop went wrong");
          process.exit(1);
        },
      );
    });
  }
  process.on("SIGHUP", () => void server.reload());
}

async function greeting(server: RunningServer, withoutKey: boolean): Promise<string> {
  const { config } = server;
  const url = config.serverUrl;
  const lines = ["", `Hawser serves ${url}`, ...server.listening.map((line) => `  ${line}`)];
  if (server.problems.length > 0) {
    lines.push("", "Not working:", ...server.problems.map((line) => `  ${line}`));
  }
  const user = withoutKey ? undefined : await firstUser(server);
  const secret = user === undefined ? undefined : await freshKey(server, user);
  if (user !== undefined && secret !== undefined) {
    lines.push(
      "",
      `On the machine that is to join (this key lets one machine in, within the hour, as ${user.name}):`,
      "",
      `  tailscale up --login-server ${url} --auth-key ${secret}`,
    );
  }
  lines.push(
    "",
    "Without a key, `tailscale up --login-server " + url + "` shows a link that says how to let the machine in.",
    "Ctrl-C stops the server; its data stays in " + config.dataDir,
    "",
    "",
  );
  return lines.join("\n");
}

/** The only user there is, or one named after who runs this; undefined when several exist: then keys are made by hand. */
async function firstUser({ tailnet }: RunningServer): Promise<User | undefined> {
  const name = systemUserName();
  const known = tailnet.usersByName(name)[0] ?? (tailnet.users().length === 1 ? tailnet.users()[0] : undefined);
  if (known !== undefined || tailnet.users().length > 0) {
    return known;
  }
  const made = await tailnet.createUser(actor, { name });
  return made.ok ? made.value : undefined;
}

/** As headscale allows user names: starting with a letter, at least two characters. */
function systemUserName(): string {
  let name = "";
  try {
    name = userInfo().username;
  } catch {
    // A container may run under a number that has no name.
  }
  const plain = name.toLowerCase().replace(/[^a-z0-9.-]/g, "-");
  return /^[a-z][a-z0-9.-]+$/.test(plain) ? plain : "admin";
}

async function freshKey({ tailnet, log }: RunningServer, user: User): Promise<string | undefined> {
  const made = await tailnet.createPreAuthKey(actor, {
    user: user.id,
    reusable: false,
    ephemeral: false,
    tags: [],
    expiration: Date.now() + hour,
  });
  if (!made.ok) {
    log.warn({ reason: made.error.text }, "no key was made");
    return undefined;
  }
  return made.value.secret;
}
