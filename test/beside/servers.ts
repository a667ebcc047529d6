// headscale's own server and ours, started alike: the same configuration but for ports and folders, each in a process of
// its own on loopback, with SQLite.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { headscaleProgram } from "../../scripts/headscale-cli.ts";
import { fetchServerKey } from "../../sim/dial.ts";
import { freePort } from "../free-port.ts";
import { cleanEnv, type Env, type Output } from "../hawser-process.ts";
import { generousSeconds, startStopwatch } from "../patience.ts";
import type { RemoteKey } from "./steps.ts";

export interface Side {
  readonly name: "headscale" | "hawser";
  readonly url: URL;
  readonly folder: string;
  /** The server's Noise key. */
  readonly serverPublic: Uint8Array;
  /** May do everything. */
  readonly apiKey: string;
  /** The side's own command line; `input` is what is typed. */
  run(words: readonly string[], input?: string): Promise<Output>;
  /** headscale's program against the side's gRPC listener, which there is with TLS only. */
  remote(words: readonly string[], key: RemoteKey): Promise<Output>;
}

export interface Pair {
  readonly theirs: Side;
  readonly ours: Side;
}

export interface PairSettings {
  readonly policyMode?: "file" | "database";
  readonly tls?: boolean;
}

/** Our program under headscale's name, so that usage texts agree. */
const ourProgram = join(import.meta.dirname, "../../bin/headscale");

export const missing =
  headscaleProgram() === undefined && "headscale's program is not built; node scripts/headscale-cli.ts builds it";

/** Both are ended, and their folders removed, with the test. */
export async function startPair(context: TestContext, settings: PairSettings = {}): Promise<Pair> {
  const program = headscaleProgram();
  if (program === undefined) {
    throw new Error("headscale's program is not there");
  }
  const [theirs, ours] = await Promise.all([
    startSide(context, "headscale", program, settings),
    startSide(context, "hawser", ourProgram, settings),
  ]);
  return { theirs, ours };
}

/** Ours alone, for what must hold where headscale's program is not there too. */
export function startOurs(context: TestContext, settings: PairSettings = {}): Promise<Side> {
  return startSide(context, "hawser", ourProgram, settings);
}

async function startSide(
  context: TestContext,
  name: Side["name"],
  program: string,
  settings: PairSettings,
): Promise<Side> {
  const folder = mkdtempSync(join(tmpdir(), `beside-${name}-`));
  const ports = { main: await freePort(), grpc: await freePort(), stun: await freePort() };
  const tls = settings.tls === true ? makeCertificate(folder) : undefined;
  const url = new URL(`${tls === undefined ? "http" : "https"}://127.0.0.1:${ports.main}`);
  const file = join(folder, "config.yaml");
  mkdirSync(join(folder, "home"));
  writeFileSync(
    join(folder, "policy.hujson"),
    '{"tagOwners":{"tag:a":["alice@"],"tag:b":["alice@"]},"acls":[]} // as the file has it\n',
  );
  writeFileSync(file, configuration(url, folder, ports, settings), { mode: 0o600 });
  // headscale has no such setting; in a checkout Hawser's data would be the checkout's.
  const env = { HOME: join(folder, "home"), HAWSER_DATA_DIR: join(folder, "data"), NO_COLOR: "1" };
  const child = spawn(program, ["--config", file, "serve"], { env: cleanEnv(env), cwd: folder, stdio: "pipe" });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
  }
  context.after(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await gone;
    }
    rmSync(folder, { recursive: true, force: true });
  });
  const watch = startStopwatch();
  let serverPublic = await keyOf(url, tls);
  while (serverPublic === undefined) {
    if (child.exitCode !== null || watch.seconds() > generousSeconds) {
      throw new Error(`${name} does not serve:\n${said}`);
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 100);
    });
    serverPublic = await keyOf(url, tls);
  }
  const run: Side["run"] = (words, input = "") => execute(program, ["--config", file, ...words], env, folder, input);
  const apiKey = (await run(["apikeys", "create"])).stdout.trim();
  const remote: Side["remote"] = (words, key) =>
    execute(headscaleProgram() ?? "", words, { ...env, ...remoteSettings(ports.grpc, apiKey, key) }, folder, "");
  return { name, url, folder, serverPublic, apiKey, run, remote };
}

function remoteSettings(port: number, apiKey: string, key: RemoteKey): Env {
  const secret = key === "wrong key" ? `hskey-api-${"A".repeat(12)}-${"A".repeat(64)}` : apiKey;
  return {
    HEADSCALE_CLI_ADDRESS: `127.0.0.1:${port}`,
    // It goes on trying a certificate that it does not know until then.
    HEADSCALE_CLI_TIMEOUT: key === "unknown certificate" ? "2s" : `${generousSeconds}s`,
    ...(key === "unknown certificate" ? {} : { HEADSCALE_CLI_INSECURE: "true" }),
    ...(key === "no key" ? {} : { HEADSCALE_CLI_API_KEY: secret }),
  };
}

async function execute(
  program: string,
  words: readonly string[],
  env: Env,
  cwd: string,
  input: string,
): Promise<Output> {
  const command = spawn(program, words, { env: cleanEnv(env), cwd, stdio: "pipe" });
  const out = { stdout: "", stderr: "" };
  command.stdout.on("data", (chunk: Buffer) => {
    out.stdout += chunk.toString();
  });
  command.stderr.on("data", (chunk: Buffer) => {
    out.stderr += chunk.toString();
  });
  // A command that asks nothing may be gone before it has read.
  command.stdin.on("error", () => undefined);
  command.stdin.end(input);
  const [code] = (await once(command, "close")) as [number | null];
  return { code, ...out };
}

/** The Noise key, once the server answers. */
async function keyOf(url: URL, tls: string | undefined): Promise<Uint8Array | undefined> {
  try {
    return await fetchServerKey(url, 142, tls);
  } catch {
    return undefined;
  }
}

/** For 127.0.0.1, signed by itself; gives the PEM to trust. */
function makeCertificate(folder: string): string {
  const words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost";
  const files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", join(folder, "tls.key")];
  execFileSync("openssl", [...words.split(" "), ...files, "-out", join(folder, "tls.crt")], { stdio: "ignore" });
  return readFileSync(join(folder, "tls.crt"), "utf8");
}

function configuration(
  url: URL,
  folder: string,
  ports: Readonly<Record<"main" | "grpc" | "stun", number>>,
  settings: PairSettings,
): string {
  const policy =
    settings.policyMode === "file" ? `{ mode: file, path: ${folder}/policy.hujson }` : "{ mode: database }";
  const tls = `grpc_listen_addr: 127.0.0.1:${ports.grpc}
tls_cert_path: ${folder}/tls.crt
tls_key_path: ${folder}/tls.key
`;
  return `server_url: ${url.origin}
listen_addr: 127.0.0.1:${ports.main}
metrics_listen_addr: ""
${settings.tls === true ? tls : 'grpc_listen_addr: ""\n'}noise: { private_key_path: ${folder}/noise_private.key }
prefixes: { v4: 100.64.0.0/10, v6: fd7a:115c:a1e0::/48 }
database: { type: sqlite, sqlite: { path: ${folder}/db.sqlite } }
unix_socket: ${folder}/headscale.sock
unix_socket_permission: "0700"
policy: ${policy}
derp:
  server: { enabled: true, region_id: 999, region_code: own, region_name: Own, stun_listen_addr: "127.0.0.1:${ports.stun}", private_key_path: ${folder}/derp.key }
  urls: []
dns: { magic_dns: true, base_domain: beside.internal, override_local_dns: false }
# headscale gathers changes for half a second unless told otherwise.
tuning: { node_store_batch_timeout: 10ms }
disable_check_updates: true
log: { level: warn }
`;
}
