// What a server of a test says on /metrics.
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { ControlWorld } from "./control-world.ts";

/** Values by name, with labels as they stand in the text. */
export async function scrape(world: ControlWorld): Promise<ReadonlyMap<string, number>> {
  const answer = await fetch(`http://127.0.0.1:${world.server.ports.metrics}/metrics`);
  const lines = (await answer.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
  );
}

/** Edge threads tell what they have counted once a second. */
const tellingMs = 1500;

/** The same when all that was under way has been counted: nothing of the server's work grows any more. */
export async function scrapeAtRest(world: ControlWorld): Promise<ReadonlyMap<string, number>> {
  for (let last = workOf(await scrape(world)); ;) {
    await sleep(tellingMs);
    const values = await scrape(world);
    const work = workOf(values);
    if (isDeepStrictEqual(work, last)) {
      return values;
    }
    last = work;
  }
}

function workOf(values: ReadonlyMap<string, number>): readonly (readonly [string, number])[] {
  return [...values].filter(([name]) => /^hawser_(?:netmap|control|propagation)_/.test(name));
}
