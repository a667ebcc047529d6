// What a server of a test says on /metrics.
import type { ControlWorld } from "./control-world.ts";

/** Values by name, with labels as they stand in the text. */
export async function scrape(world: ControlWorld): Promise<ReadonlyMap<string, number>> {
  const answer = await fetch(`http://127.0.0.1:${world.server.ports.metrics}/metrics`);
  const lines = (await answer.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
  );
}
