// The command as people run it: a program of its own.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { join } from "node:path";
import test from "node:test";

const main = join(import.meta.dirname, "main.ts");
const good = {
  MOCKOIDC_CLIENT_ID: "hawser",
  MOCKOIDC_CLIENT_SECRET: "secret",
  MOCKOIDC_ADDR: "127.0.0.1",
  MOCKOIDC_PORT: "0",
};

test("mockoidc serves on the address it is given, warns, and ends when told to", async () => {
  const users = '[{"Subject":"s1","PreferredUsername":"alice"}]';
  const env = { ...process.env, ...good, MOCKOIDC_USERS: users, MOCKOIDC_ACCESS_TTL: "90s" };
  const child = spawn(process.execPath, [main, "mockoidc"], { env, stdio: ["ignore", "ignore", "pipe"] });
  try {
    const lines = createInterface({ input: child.stderr })[Symbol.asyncIterator]();
    const next = async (): Promise<string> => String((await lines.next()).value);
    const issuer = /^mock OpenID Connect provider: (http:\/\/127\.0\.0\.1:\d+\/oidc)$/.exec(await next())?.[1] ?? "";
    assert.match(await next(), /^warning: for tests only/);
    const redirect = "http://127.0.0.1/back";
    const query = `response_type=code&client_id=hawser&scope=openid+profile&redirect_uri=${redirect}`;
    const login = await fetch(`${issuer}/authorize?${query}`, { redirect: "manual" });
    assert.equal(await next(), "GET /oidc/authorize 302");
    const code = new URL(login.headers.get("location") ?? "").searchParams.get("code") ?? "";
    const form = { grant_type: "authorization_code", client_id: "hawser", client_secret: "secret" };
    const body = new URLSearchParams({ ...form, code, redirect_uri: redirect });
    const answer = (await (await fetch(`${issuer}/token`, { method: "POST", body })).json()) as Record<string, unknown>;
    assert.equal(answer["expires_in"], 90);
    const claims: unknown = JSON.parse(
      Buffer.from(String(answer["id_token"]).split(".")[1] ?? "", "base64url").toString("utf8"),
    );
    assert.ok(typeof claims === "object" && claims !== null && "preferred_username" in claims);
    assert.equal(claims.preferred_username, "alice");
    child.kill("SIGTERM");
    const [code_] = await once(child, "exit");
    assert.equal(code_, 0);
  } finally {
    child.kill("SIGKILL");
  }
});

test("mockoidc says which variable is missing or wrong", () => {
  const refused = (changes: Record<string, string>, text: string): void => {
    const env = { ...process.env, ...good, ...changes };
    const { status, stderr } = spawnSync(process.execPath, [main, "mockoidc"], { env, encoding: "utf8" });
    assert.equal(status, 1);
    assert.ok(stderr.startsWith(`Error: running mock OIDC server: ${text}`), stderr);
  };
  refused({ MOCKOIDC_CLIENT_ID: "" }, "MOCKOIDC_CLIENT_ID not defined");
  refused({ MOCKOIDC_PORT: "" }, "MOCKOIDC_PORT not defined");
  refused({ MOCKOIDC_PORT: "99999" }, "MOCKOIDC_PORT must be a port");
  refused({ MOCKOIDC_USERS: "{}" }, "MOCKOIDC_USERS: it must be a JSON array");
  refused({ MOCKOIDC_ACCESS_TTL: "7" }, "MOCKOIDC_ACCESS_TTL must be a duration");
});
