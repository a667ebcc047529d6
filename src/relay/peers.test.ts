import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { nodeKeyText } from "../wire/keys.ts";
import type { RelayConnection } from "./connection.ts";
import { activeConnection, makeActive, noteSent, Peers, type Peer } from "./peers.ts";

/** Peers only hold connections; to them one is as good as another. */
function connection(): RelayConnection {
  return Object.create(null) as RelayConnection;
}

function enter(peers: Peers, n: number): Peer {
  const raw = Buffer.alloc(32, n);
  return peers.enter(raw, nodeKeyText(raw));
}

test("who has sent to whom is forgotten on both sides, whatever the order of coming and going", () => {
  const step = fc.record({ kind: fc.constantFrom("come", "go", "send"), a: fc.nat(5), b: fc.nat(5) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const peers = new Peers();
      const here = new Map<number, Peer>();
      const sent = new Set<string>();
      for (const { kind, a, b } of steps) {
        const [from, to] = [here.get(a), here.get(b)];
        if (kind === "come" && from === undefined) {
          const peer = enter(peers, a);
          peer.connections.push(connection());
          here.set(a, peer);
        } else if (kind === "send" && from !== undefined && to !== undefined) {
          noteSent(from, to);
          sent.add(`${a}>${b}`);
        } else if (kind === "go" && from !== undefined) {
          const [only] = from.connections;
          assert.ok(only !== undefined);
          const told = peers.leave(from, only);
          const wanted = [...here].filter(([n]) => sent.has(`${a}>${n}`)).map(([, peer]) => peer);
          assert.deepEqual(new Set(told), new Set(wanted));
          here.delete(a);
          for (const pair of [...sent].filter((pair) => pair.startsWith(`${a}>`) || pair.endsWith(`>${a}`))) {
            sent.delete(pair);
          }
        }
        const links = [...here.values()].reduce((sum, peer) => sum + peer.sentTo.size, 0);
        const back = [...here.values()].reduce((sum, peer) => sum + peer.heardFrom.size, 0);
        assert.deepEqual([links, back, peers.size], [sent.size, sent.size, here.size]);
      }
    }),
    { numRuns: 300 },
  );
});

test("the connection that wrote last is active; when it goes, the one before it is", () => {
  const peers = new Peers();
  const peer = enter(peers, 1);
  const [first, second, third] = [connection(), connection(), connection()];
  peer.connections.push(first, second, third);
  assert.equal(activeConnection(peer), third);
  makeActive(peer, first);
  assert.equal(activeConnection(peer), first);
  assert.equal(peers.leave(peer, first), undefined);
  assert.equal(activeConnection(peer), third);
  assert.equal(peers.leave(peer, second), undefined);
  assert.deepEqual(peers.leave(peer, third), []);
  assert.equal(activeConnection(peer), undefined);
  assert.equal(peers.leave(peer, third), undefined, "leaving twice changes nothing");
  assert.equal(peers.size, 0);
});
