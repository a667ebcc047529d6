// What the server says of its own work on /metrics, against the work it was given.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { SimClient } from "../sim/client.ts";
import { controlWorld } from "./control-world.ts";
import { until } from "./patience.ts";
import { scrapeAtRest } from "./scrape.ts";

for (const threads of [0, 2]) {
  test(`one change is one encode, one message a peer and one latency a peer (${threads} edge threads)`, async (context) => {
    const world = await controlWorld(context, { metrics: true, extraConfig: `control: { threads: ${threads} }` });
    const sims: SimClient[] = [];
    for (let count = 0; count < 5; count++) {
      const sim = await world.join();
      await sim.update({ endpoints: [`192.0.2.${count}:41641`], netInfo: { PreferredDERP: 999 } });
      sims.push(sim);
    }
    const [mover, ...others] = sims;
    assert.ok(mover !== undefined);
    const id = mover.netmap.self?.ID ?? 0;
    const everybodyHas = (endpoint: string) =>
      others.every(({ netmap }) => netmap.peers.get(id)?.Endpoints?.[0] === endpoint);
    await until("all see each other", () =>
      sims.every(({ netmap }) => [...netmap.peers.values()].filter(({ HomeDERP }) => HomeDERP === 999).length === 4),
    );
    const before = await scrapeAtRest(world);
    await mover.update({ endpoints: ["198.51.100.9:41641"] });
    await until("the endpoint arrives", () => everybodyHas("198.51.100.9:41641"));
    const after = await scrapeAtRest(world);
    const grown = (name: string) => (after.get(name) ?? NaN) - (before.get(name) ?? NaN);
    assert.equal(grown("hawser_netmap_full_maps_total"), 0);
    assert.equal(grown("hawser_netmap_distinct_deltas_total"), 1);
    assert.equal(grown("hawser_netmap_encodes_total"), 1);
    assert.ok(grown("hawser_netmap_compressions_total") <= 1);
    assert.equal(grown("hawser_netmap_deltas_total"), 4);
    assert.equal(grown("hawser_netmap_messages_total"), 4);
    assert.equal(grown("hawser_control_messages_delivered_total"), 4);
    const bytes = grown("hawser_control_bytes_delivered_total") / 4;
    assert.ok(bytes > 0 && bytes <= 300, `${bytes} bytes a peer`);
    assert.equal(grown("hawser_propagation_seconds_count"), 4);
    assert.equal(grown('hawser_propagation_seconds_bucket{le="+Inf"}'), 4);
    assert.equal(grown('hawser_propagation_seconds_bucket{le="10"}'), 4);
    assert.ok(grown("hawser_propagation_seconds_sum") >= 0);
    assert.equal(after.get("hawser_netmap_sessions"), 5);
    assert.equal(after.get("hawser_netmap_sessions_blocked"), 0);
    assert.equal(after.get("hawser_netmap_views"), 1);
    assert.equal(after.get("hawser_control_streams_open"), 5);
    assert.equal(after.get("hawser_control_streams_cut_total"), 0);
  });
}
