import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { connect, type PeerCertificate } from "node:tls";
import { generatePrivateKey } from "../wire/keys.ts";
import { makeLeaf, makeMetaCertificate } from "./certificate.ts";
import { createDerpServer } from "./derp-server.ts";
import { createRelayHttp } from "./http.ts";
import { connectClient } from "./rig.test-data.ts";
import { loadSelfSigned } from "./self-signed.ts";
import { createTlsListener } from "./tls-listener.ts";

const dayMs = 86_400_000;

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "hawser-tls-"));
  try {
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("the leaf is a certificate for its hosts, signed by itself, and no authority", () => {
  const leaf = makeLeaf(["relay.example", "192.0.2.7", "2001:db8::7"], 0, 3000 * 365 * dayMs);
  const cert = new X509Certificate(leaf.certPem);
  assert.ok(cert.verify(cert.publicKey));
  assert.equal(cert.ca, false);
  assert.equal(cert.checkHost("relay.example"), "relay.example");
  assert.equal(cert.checkIP("192.0.2.7"), "192.0.2.7");
  assert.ok(cert.checkIP("2001:db8::7"));
  assert.equal(cert.checkHost("other.example"), undefined);
  assert.equal(cert.validFromDate.getTime(), 0);
  assert.equal(cert.validToDate.getTime(), 3000 * 365 * dayMs);
  assert.deepEqual(cert.raw, leaf.certDer);
});

test("the meta certificate tells the relay's key and the protocol's version", () => {
  const cert = new X509Certificate(makeMetaCertificate("ab".repeat(32), 0, 60 * dayMs).certPem);
  assert.equal(cert.subject, `CN=derpkey${"ab".repeat(32)}`);
  assert.equal(cert.serialNumber, "02");
  assert.equal(cert.publicKey.asymmetricKeyType, "ed25519");
  assert.ok(cert.verify(cert.publicKey));
});

test("the certificate is kept for its owner alone, and renewed for age, another host or damage", async () => {
  await inFolder(async (folder) => {
    const file = join(folder, "relay", "tls.pem");
    const now = Date.UTC(2026, 0, 1);
    const first = await loadSelfSigned(file, ["a.example"], now);
    assert.ok(first.fresh);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    const again = await loadSelfSigned(file, ["a.example"], now + 9 * 365 * dayMs);
    assert.deepEqual([again.fresh, again.pin], [false, first.pin]);
    assert.ok((await loadSelfSigned(file, ["a.example", "192.0.2.1"], now)).fresh);
    assert.ok((await loadSelfSigned(file, ["a.example"], now + 10 * 365 * dayMs - 10 * dayMs)).fresh);
    await writeFile(file, (await readFile(file, "utf8")).slice(0, 300));
    assert.ok((await loadSelfSigned(file, ["a.example"], now)).fresh);
  });
});

test("clients reach the relay over TLS by its pin, with and without a fast start", async () => {
  await inFolder(async (folder) => {
    const derp = createDerpServer({ privateKey: generatePrivateKey(), admit: () => true });
    const listener = await createTlsListener({
      derp,
      handle: createRelayHttp({ derpMap: () => ({ Regions: {} }) }),
      hosts: ["relay.example"],
      certificateFile: join(folder, "tls.pem"),
      host: "127.0.0.1",
      port: 0,
    });
    const leaf = await peerCertificate(listener.port);
    assert.equal(`sha256-raw:${createHash("sha256").update(leaf.raw).digest("hex")}`, listener.pin());

    const dial = { host: "127.0.0.1", port: listener.port, tls: { rejectUnauthorized: false } };
    const a = await connectClient({ ...dial, fastStartKey: derp.publicKey });
    const b = await connectClient(dial);
    a.send(b.key.publicRaw, Buffer.alloc(50_000, 7));
    assert.equal((await b.next("packet")).packet.length, 50_000);
    a.close();
    b.close();

    assert.equal(await status(listener.port, "/derp/probe"), 200);
    assert.equal(await status(listener.port, "/generate_204"), 204);
    assert.equal(await status(listener.port, "/machine/map"), 404);
    assert.equal(await status(listener.port, "/derp"), 426);
    await derp.close({ graceful: false });
    await listener.close();
  });
});

// Node's client shows only certificates that have signed each other; openssl shows the chain as it is sent.
const openssl = spawnSync("openssl", ["version"]).status === 0;
test("the chain holds the leaf and the relay's key", { skip: openssl ? false : "needs openssl" }, async () => {
  await inFolder(async (folder) => {
    const derp = createDerpServer({ privateKey: generatePrivateKey(), admit: () => true });
    const listener = await createTlsListener({
      derp,
      handle: () => false,
      hosts: ["relay.example"],
      certificateFile: join(folder, "tls.pem"),
      host: "127.0.0.1",
      port: 0,
    });
    const client = spawn("openssl", ["s_client", "-showcerts", "-connect", `127.0.0.1:${listener.port}`]);
    let text = "";
    client.stdout.on("data", (data: Buffer) => {
      text += data.toString();
      if (text.includes("Verify return code")) {
        client.stdin.end();
      }
    });
    await new Promise((done) => client.on("close", done));
    const subjects = [...text.matchAll(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g)].map(
      ([pem]) => new X509Certificate(pem).subject,
    );
    assert.deepEqual(subjects.slice(0, 2), ["CN=relay.example", `CN=derpkey${derp.publicKeyHex}`]);
    await derp.close({ graceful: false });
    await listener.close();
  });
});

test("TLS 1.2, where anybody could read the chain, is not spoken", async () => {
  await inFolder(async (folder) => {
    const derp = createDerpServer({ privateKey: generatePrivateKey(), admit: () => true });
    const listener = await createTlsListener({
      derp,
      handle: () => false,
      hosts: ["relay.example"],
      certificateFile: join(folder, "tls.pem"),
      host: "127.0.0.1",
      port: 0,
    });
    await assert.rejects(
      new Promise((done, fail) => {
        connect({ port: listener.port, host: "127.0.0.1", maxVersion: "TLSv1.2", rejectUnauthorized: false }, () =>
          done(undefined),
        ).on("error", fail);
      }),
    );
    await derp.close({ graceful: false });
    await listener.close();
  });
});

function peerCertificate(port: number): Promise<PeerCertificate> {
  return new Promise((done, fail) => {
    const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
      done(socket.getPeerCertificate());
      socket.destroy();
    });
    socket.on("error", fail);
  });
}

function status(port: number, path: string): Promise<number | undefined> {
  return new Promise((done, fail) => {
    request({ host: "127.0.0.1", port, path, rejectUnauthorized: false, agent: false }, (res) => {
      res.resume();
      done(res.statusCode);
    })
      .on("error", fail)
      .end();
  });
}
