// The server dies while nodes talk: they go on talking, and it returns with everything it knew.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { pause } from "../test/patience.ts";
import type { Client } from "./client.ts";
import { until } from "./netns.ts";
import { PlainTailnet, programsOrReason } from "./plain-tailnet.ts";
import { serveTailnetPage } from "./web.ts";

const programs = programsOrReason();
const skip = typeof programs === "string" ? programs : false;
let tailnet: PlainTailnet;
const clients: Client[] = [];

before(async () => {
  if (typeof programs === "string") {
    return;
  }
  tailnet = new PlainTailnet("outage");
  await tailnet.start();
  for (const name of ["alpha", "beta", "gamma"]) {
    clients.push(await tailnet.join(name, programs));
  }
});

after(() => tailnet?.close());

function client(index: number): Client {
  const found = clients[index];
  assert.ok(found !== undefined);
  return found;
}

async function page(): Promise<boolean> {
  const answer = await client(0).host.run("curl", ["-fs", "-m", "10", "http://beta.acme.internal/"], { check: false });
  return answer.stdout.includes("beta's page");
}

interface SeenPeer {
  readonly addresses: readonly string[];
  readonly relay: string;
  readonly os: string;
}

/** What the server told alpha of its peers, which it can only know from before the crash. */
async function seenByAlpha(): Promise<Record<string, SeenPeer>> {
  const netmap = JSON.parse((await client(0).run(["debug", "netmap"])).stdout) as {
    readonly Peers: readonly {
      readonly Name: string;
      readonly Addresses: readonly string[];
      readonly Endpoints?: readonly string[];
      readonly HomeDERP?: number;
      readonly Hostinfo: { readonly OS?: string };
    }[];
  };
  return Object.fromEntries(
    netmap.Peers.map((peer) => {
      assert.ok((peer.Endpoints?.length ?? 0) > 0, `${peer.Name} has endpoints`);
      return [peer.Name, { addresses: peer.Addresses, relay: String(peer.HomeDERP ?? 0), os: peer.Hostinfo.OS ?? "" }];
    }),
  );
}

test(
  "nodes go on talking while the server is dead, and are all back within 10 s of its return with what was known",
  { skip },
  async () => {
    await serveTailnetPage(client(1).host, "beta's page");
    await until("the page is reached", 20, async () => ((await page()) ? true : undefined));
    await until("home relays are known", 20, async () =>
      Object.values(await seenByAlpha()).every((peer) => peer.relay !== "0") ? true : undefined,
    );
    // Presence is written behind within seconds.
    await pause(5);
    const known = await seenByAlpha();

    await tailnet.control.server?.stop("SIGKILL");
    for (let i = 0; i < 5; i++) {
      assert.ok(await page(), "the page is reached without a server");
      await new Promise((wake) => setTimeout(wake, 1500));
    }

    await tailnet.control.start();
    const back = Date.now();
    await until("all nodes are online again", 10, async () => {
      const nodes = await tailnet.control.cliJson<readonly { online?: boolean }[]>(["nodes", "list"]);
      return nodes.length === 3 && nodes.every((node) => node.online === true) ? true : undefined;
    });
    await until("alpha sees its peers online", 10, async () =>
      (await client(0).peers()).every((peer) => peer.Online) ? true : undefined,
    );
    console.log(`     all online ${((Date.now() - back) / 1000).toFixed(1)} s after the server was healthy`);
    assert.deepEqual(await seenByAlpha(), known);
    assert.ok(await page());
  },
);
