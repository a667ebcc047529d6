// The victim of kill-nine.test.ts: registers nodes with single-use keys over a database as fast as it can, several at
// once, and prints each acknowledgement. Arguments: "sqlite" or "postgres", path or name of the database, round.
import { randomBytes } from "node:crypto";
import { writeSync } from "node:fs";
import { createAllowAll } from "../src/policy/allow-all.ts";
import { postgresTarget } from "../src/store/postgres/scratch.test-data.ts";
import { openPostgresStore } from "../src/store/postgres/store.ts";
import { openSqliteStore } from "../src/store/sqlite.ts";
import type { Store } from "../src/tailnet/store.ts";
import { createTailnet } from "../src/tailnet/tailnet.ts";
import { admin, linePolicy, makeKey, makeUser, must, prefix, registration, seededSecrets } from "./tailnet-rig.ts";

const [kind, place = "", round = "0"] = process.argv.slice(2);

async function opened(): Promise<Store> {
  if (kind === "sqlite") {
    return openSqliteStore({ path: place });
  }
  const opening = await openPostgresStore(postgresTarget(place));
  if (!opening.ok) {
    throw new Error(opening.reason);
  }
  return opening.store;
}

const tailnet = await createTailnet({
  store: await opened(),
  now: () => Date.now(),
  // Each round's child makes its own, on one database.
  secrets: { ...seededSecrets(0), randomBytes },
  prefixV4: prefix("100.64.0.0/10"),
  prefixV6: prefix("fd7a:115c:a1e0::/48"),
  allocation: "sequential",
  defaultNodeExpiry: null,
  ephemeralTimeout: 60_000,
  offlineGrace: 10_000,
  baseDomain: "",
  compilePolicy: linePolicy,
  defaultPolicy: createAllowAll,
  closedPolicy: createAllowAll,
});

/** In one write to the pipe, so that what is said is said at once. */
function say(line: string): void {
  writeSync(1, `${line}\n`);
}

say("ready");
const user = await makeUser(tailnet, `user${round}`);
say(`user ${user.name}`);

async function registerForEver(lane: number): Promise<void> {
  for (let i = 0; ; i++) {
    const machine = 1 + Number(round) * 1_000_000 + lane * 10_000 + i;
    const key = await makeKey(tailnet, { user: user.id, reusable: false });
    const node = must(
      await tailnet.register(admin, registration(machine, machine, { host: { Hostname: "box" } }), key),
    );
    say(`node ${node.nodeKey} ${node.givenName}`);
    tailnet.updatePresence(node.id, { endpoints: [`192.0.2.1:${i}`] });
    tailnet.tick();
  }
}

await Promise.all([0, 1, 2, 3, 4, 5].map(registerForEver));
