// What a newcomer does: `npm start` without any configuration, then the command it prints on another machine. No TLS:
// the server speaks plain HTTP, its relay stands on a second port with a certificate of its own that clients pin.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { generousSeconds } from "../test/patience.ts";
import { Client } from "./client.ts";
import { Lab, until } from "./netns.ts";
import type { RunningProgram } from "./netns.ts";
import { programsOrReason } from "./plain-tailnet.ts";

const programs = programsOrReason();
const skip = typeof programs === "string" ? programs : false;
const root = join(import.meta.dirname, "..");

let lab: Lab;
let server: RunningProgram;
let client: Client;

before(() => {
  if (typeof programs === "string") {
    return;
  }
  lab = new Lab("start");
  const host = lab.host("server", { lan: "10.10.0.1/24" }, "10.10.0.254");
  const home = join(host.folder, "home");
  mkdirSync(home);
  server = host.start("sh", [join(root, "scripts", "run.sh"), "scripts/start.ts"], {
    HOME: home,
    // A checkout keeps its data in itself: not this one's.
    HAWSER_DATA_DIR: join(home, "data"),
  });
  client = new Client(lab.host("client", { lan: "10.10.0.2/24" }), { programs });
});

after(() => lab?.close());

test("the command that npm start prints joins a machine", { skip }, async () => {
  const command = await until("npm start says what to do next", generousSeconds, () => {
    assert.equal(server.child.exitCode, null, server.output);
    return /tailscale up --login-server (\S+) --auth-key (\S+)/.exec(server.output) ?? undefined;
  });
  const [, url = "", key = ""] = command;
  assert.match(url, /^http:\/\/10\.10\.0\.1:\d+$/);
  await client.start();
  await client.up(url, key);
  assert.equal((await client.status()).BackendState, "Running");
});

test("its relay is reached by its pinned certificate", { skip }, async () => {
  await until("the client has a home relay", generousSeconds, async () =>
    (await client.status()).Self.Relay === "" ? undefined : true,
  );
  const map = JSON.parse((await client.run(["debug", "derp-map"])).stdout) as {
    readonly Regions: Readonly<Record<string, { readonly Nodes: readonly { readonly CertName?: string }[] }>>;
  };
  const nodes = Object.values(map.Regions).flatMap((region) => region.Nodes);
  assert.equal(nodes.length, 1);
  assert.match(nodes[0]?.CertName ?? "", /^sha256-raw:[0-9a-f]{64}$/);
  const [region = ""] = Object.keys(map.Regions);
  const debug = await client.run(["debug", "derp", region], { check: false, timeoutMs: 40_000 });
  assert.match(debug.stdout, /Successfully established a DERP connection/, debug.stdout + debug.stderr);
});

test("a signal ends it in order", { skip }, async () => {
  assert.equal(await server.stop("SIGTERM"), 0, server.output);
});
