import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { machineKeyText } from "../wire/keys.ts";
import { startRig } from "./rig.test-data.ts";

const frame = {
  "x-frame-options": "DENY",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
};
const pagePolicy =
  "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'";
const plainPolicy = "frame-ancestors 'none'";
const authId = `hskey-authreq-${"Ab_-".repeat(6)}`;

test("every answer carries the security headers, and pages may load and run nothing", async (context) => {
  const { port } = await startRig(context);
  const html = "text/html; charset=utf-8";
  const text = "text/plain; charset=utf-8";
  const profile = "application/x-apple-aspen-config; charset=utf-8";
  const table: Record<string, [status: number, type: string | null, policy: string]> = {
    "/": [200, html, pagePolicy],
    [`/register/${authId}`]: [200, html, pagePolicy],
    [`/auth/${authId}`]: [200, html, pagePolicy],
    "/register/nonsense": [400, text, plainPolicy],
    "/auth/": [404, text, plainPolicy],
    "/apple": [200, html, pagePolicy],
    "/windows": [200, html, pagePolicy],
    "/apple/ios": [200, profile, plainPolicy],
    "/apple/macos-app-store": [200, profile, plainPolicy],
    "/apple/macos-standalone": [200, profile, plainPolicy],
    "/apple/amiga": [400, text, plainPolicy],
    "/health": [200, "application/health+json; charset=utf-8", plainPolicy],
    "/version": [200, "application/json", plainPolicy],
    "/key?v=142": [200, "application/json", plainPolicy],
    "/key?v=38": [200, null, plainPolicy],
    "/key": [400, text, plainPolicy],
    "/key?v=x": [400, text, plainPolicy],
    "/robots.txt": [200, "text/plain", plainPolicy],
    "/favicon.ico": [204, null, plainPolicy],
    "/ts2021": [400, text, plainPolicy],
    "/machine/register": [404, text, plainPolicy],
    "/nothing": [404, text, plainPolicy],
    "/%zz": [404, text, plainPolicy],
    "/register/..%2f..%2fetc": [404, text, plainPolicy],
  };
  for (const [path, [status, type, policy]] of Object.entries(table)) {
    for (const method of ["GET", "HEAD"]) {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, redirect: "manual" });
      assert.equal(response.status, status, `${method} ${path}`);
      assert.equal(response.headers.get("content-type"), type, path);
      assert.equal(response.headers.get("content-security-policy"), policy, path);
      for (const [name, value] of Object.entries(frame)) {
        assert.equal(response.headers.get(name), value, path);
      }
      assert.equal(response.headers.get("set-cookie"), null);
      assert.equal(response.headers.get("x-powered-by"), null);
    }
  }
});

test("opening a link changes nothing, and what others wrote never becomes HTML", async (context) => {
  const rig = await startRig(context);
  const client = await rig.connect();
  const { registerBody } = await import("./rig.test-data.ts");
  const { generatePrivateKey } = await import("../wire/keys.ts");
  const evil = "<script>alert(1)</script>";
  const answer = await client.request(
    "POST",
    "/machine/register",
    registerBody(generatePrivateKey(), { Hostinfo: { Hostname: evil } }),
  );
  const { AuthURL } = JSON.parse(answer.body.toString()) as { AuthURL: string };
  const before = [rig.tailnet.version, rig.pending.list()];
  const path = new URL(AuthURL).pathname;
  const first = await (await fetch(`http://127.0.0.1:${rig.port}${path}`)).text();
  assert.match(first, /hawser auth register --auth-id hskey-authreq-[A-Za-z0-9_-]{24} --user USERNAME/);
  assert.ok(!first.includes("<script"));
  assert.equal((await fetch(`http://127.0.0.1:${rig.port}${path}`, { method: "POST" })).status, 405);
  assert.deepEqual([rig.tailnet.version, rig.pending.list()], before);
  const unknown = await (await fetch(`http://127.0.0.1:${rig.port}/register/${authId}`)).text();
  assert.equal(
    unknown.replace(authId, ""),
    first.replace(/hskey-authreq-[A-Za-z0-9_-]{24}/, ""),
    "whether an id exists is not told",
  );
});

test("/key tells the Noise key, and a legacy key that is not zero", async (context) => {
  const rig = await startRig(context);
  const keys = (await (await fetch(`http://127.0.0.1:${rig.port}/key?v=113`)).json()) as Record<string, string>;
  assert.equal(keys["publicKey"], machineKeyText(rig.noiseKey.publicRaw));
  assert.match(keys["legacyPublicKey"] ?? "", /^mkey:[0-9a-f]{64}$/);
  assert.doesNotMatch(keys["legacyPublicKey"] ?? "", /^mkey:0+$/);
});

test("/health says what the store says", async (context) => {
  const rig = await startRig(context);
  const health = async () => {
    const response = await fetch(`http://127.0.0.1:${rig.port}/health`);
    return [response.status, await response.json()];
  };
  assert.deepEqual(await health(), [200, { status: "pass" }]);
  rig.inDoubt = true;
  const notes = ['not all is well: "hawser health" on the server says what'];
  assert.deepEqual(await health(), [200, { status: "warn", notes }]);
  rig.healthy = false;
  assert.deepEqual(await health(), [500, { status: "fail" }]);
});

test("a profile for Apple devices names this server and nothing else", async (context) => {
  const rig = await startRig(context);
  const text = await (await fetch(`http://127.0.0.1:${rig.port}/apple/ios`)).text();
  assert.match(text, /<key>ControlURL<\/key><string>http:\/\/control\.test:8080<\/string>/);
  assert.match(text, /<string>io\.tailscale\.ipn\.ios<\/string>/);
  assert.deepEqual([...text.matchAll(/https?:\/\/[^<"\s]+/g)].map(([url]) => new URL(url).host).sort(), [
    "control.test:8080",
    "control.test:8080",
    "www.apple.com",
  ]);
});

test("a request line that is no path is answered, and the listener lives", async (context) => {
  const { port } = await startRig(context);
  for (const line of ["GET http://elsewhere.example/key?v=1 HTTP/1.1", "OPTIONS * HTTP/1.1", "GARBAGE"]) {
    const socket = connect(port, "127.0.0.1");
    socket.end(`${line}\r\nHost: x\r\nConnection: close\r\n\r\n`);
    const parts: Buffer[] = [];
    for await (const part of socket) {
      parts.push(part as Buffer);
    }
    assert.match(Buffer.concat(parts).toString(), /^HTTP\/1\.1 4/);
  }
  assert.equal((await fetch(`http://127.0.0.1:${port}/health`)).status, 200);
});
