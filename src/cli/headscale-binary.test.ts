// headscale's own command line against our server, over the socket and remotely, and ours beside it: the same words, the
// same output. Skipped where headscale's program was not built (scripts/headscale-cli.ts).
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { headscaleProgram } from "../../scripts/headscale-cli.ts";
import { createAdminWorld } from "../../test/admin-world.ts";
import type { AdminWorld } from "../../test/admin-world.ts";

const program = headscaleProgram();
const skip = program === undefined && "headscale's program is not built; node scripts/headscale-cli.ts builds it";

interface Output {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

type Headscale = (words: readonly string[], env?: Readonly<Record<string, string>>) => Promise<Output>;

async function withHeadscale(
  check: (world: AdminWorld, headscale: Headscale, folder: string) => Promise<void>,
): Promise<void> {
  const world = await createAdminWorld();
  const folder = mkdtempSync(join(tmpdir(), "hawser-headscale-"));
  const config = join(folder, "config.yaml");
  writeFileSync(config, `unix_socket: ${world.socketPath}\nserver_url: http://127.0.0.1\n`);
  try {
    await check(
      world,
      (words, env = {}) =>
        new Promise((resolve, reject) => {
          const child = spawn(program ?? "", ["-c", config, ...words], {
            env: { PATH: process.env["PATH"] ?? "", HOME: folder, NO_COLOR: "1", ...env },
            stdio: ["ignore", "pipe", "pipe"],
          });
          const out = { stdout: "", stderr: "" };
          child.stdout.on("data", (chunk: Buffer) => {
            out.stdout += chunk.toString();
          });
          child.stderr.on("data", (chunk: Buffer) => {
            out.stderr += chunk.toString();
          });
          child.on("error", reject);
          child.on("close", (code) => resolve({ code, ...out }));
        }),
      folder,
    );
  } finally {
    await world.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Secrets differ, and pterm pads the last column and adds a line. */
function normal(text: string): string {
  const masked = text.replaceAll(/hskey-(auth|api)-[\w-]{12}-[\w-]{64}/g, "hskey-$1-SECRET");
  return masked.replaceAll(/ +$/gm, "").replace(/\n+$/, "\n");
}

const questions = [
  "users list",
  "users list -o json",
  "users list -o json-line",
  "users list -o yaml",
  "users list -n nobody -o json",
  "nodes list",
  "nodes list -o json",
  "nodes list -o yaml",
  "--user infra nodes list -o json-line",
  "nodes list-routes",
  "nodes list-routes -o json",
  "preauthkeys list",
  "preauthkeys list -o json",
  "preauthkeys list -o yaml",
  "apikeys list",
  "apikeys list -o json",
  "apikeys list -o yaml",
  "health",
  "health -o json",
  "health -o yaml",
  "policy get",
  "nodes backfillips --force",
  "nodes backfillips --force -o json",
];

const commands = [
  "nodes expire -i 1 -e 2030-01-01T00:00:00Z",
  "nodes expire -i 1 -d",
  "nodes expire -i 1 -d -o yaml",
  "nodes tag -i 2 -t tag:c -o json",
  "nodes rename -i 1 web -o json",
  "nodes approve-routes -i 1 -r 10.0.0.0/24,::/0 -o json",
  "users rename -i 2 -r alison -o json",
  "preauthkeys expire -i 99",
  "preauthkeys expire -i 99 -o json",
  "preauthkeys delete -i 99",
];

const mistakes = [
  "users create",
  "users create infra",
  "users destroy --force",
  "users rename -i 2 -r infra",
  "nodes list -u nobody",
  "nodes delete -i 99 --force",
  "nodes delete -i 99 --force -o json",
  "nodes tag -i 99 -t tag:a",
  "nodes tag -i 1 -t bad",
  "nodes rename -i 1 Bad_Name",
  "nodes rename -i 1 host-2",
  "nodes expire -i 99",
  "nodes approve-routes -i 1 -r 10.0.0.1",
  "nodes approve-routes -i 99 -r 10.0.0.0/8",
  "preauthkeys create",
  "preauthkeys create -u 99",
  "preauthkeys create --tags bad",
  "preauthkeys expire",
  "apikeys expire",
  "apikeys expire -i 99",
  "apikeys expire -p x",
  "apikeys expire -i 1 -p x",
  "apikeys delete -i 99",
  "auth register",
  "auth register -u infra --auth-id x",
  "auth register -u infra --auth-id hskey-authreq-AAAAAAAAAAAAAAAAAAAAAAAA",
  "auth approve --auth-id hskey-authreq-AAAAAAAAAAAAAAAAAAAAAAAA",
  "auth reject --auth-id hskey-authreq-AAAAAAAAAAAAAAAAAAAAAAAA",
  "debug create-node",
  "policy set",
  "nonsense",
  "users list --nonsense",
  "users -z",
];

async function furnish({ cli, join: joinNode, tailnet }: AdminWorld, folder: string): Promise<void> {
  await cli("users create infra");
  await cli("users create alice -d Alice -e a@b.c");
  const web = await joinNode(1, 1, { Hostname: "Web Server", RoutableIPs: ["10.0.0.0/24"] });
  await joinNode(1, 2);
  tailnet.sessionOpened(web.id);
  await cli("nodes tag -i 2 -t tag:a,tag:b");
  await cli("nodes approve-routes -i 1 -r 10.0.0.0/24");
  await cli("preauthkeys create -u 1 -e 1h");
  await cli("preauthkeys create --tags tag:x");
  const policy = join(folder, "policy.hujson");
  writeFileSync(policy, '{"tagOwners": {"tag:a": [], "tag:b": [], "tag:c": []}, "acls": []}');
  await cli(["policy", "set", "-f", policy]);
}

test("both command lines say the same, word for word", { skip }, () =>
  withHeadscale(async (world, headscale, folder) => {
    await furnish(world, folder);
    for (const line of [...questions, ...commands, ...mistakes]) {
      const theirs = await headscale(line.split(" "));
      const ours = await world.cli(line, { programName: "headscale" });
      assert.deepEqual(
        [ours.code, normal(ours.stdout), normal(ours.stderr)],
        [theirs.code, normal(theirs.stdout), normal(theirs.stderr)],
        line,
      );
    }
  }),
);

test("headscale's command line works remotely, with TLS and a key", { skip }, () =>
  withHeadscale(async ({ api, apiKey, cli }, headscale, folder) => {
    await cli("users create infra");
    const [certPath, keyPath] = [join(folder, "cert.pem"), join(folder, "key.pem")];
    const words = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost -keyout ${keyPath} -out ${certPath}`;
    execFileSync("openssl", words.split(" "), { stdio: "ignore" });
    const tls = { cert: readFileSync(certPath, "utf8"), key: readFileSync(keyPath, "utf8") };
    const { port } = await api.listenGrpc({ host: "127.0.0.1", port: 0, tls });
    const env = { HEADSCALE_CLI_ADDRESS: `127.0.0.1:${port}`, HEADSCALE_CLI_INSECURE: "true" };
    const users = await headscale(["users", "list", "-o", "json-line"], { ...env, HEADSCALE_CLI_API_KEY: apiKey });
    assert.deepEqual(
      [users.code, users.stdout],
      [0, '[{"id":1,"name":"infra","created_at":{"seconds":1767323045}}]\n'],
    );
    const wrong = await headscale(["users", "list"], { ...env, HEADSCALE_CLI_API_KEY: "hskey-api-wrong" });
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /code = Unauthenticated desc = invalid token/);
  }),
);
