// Long lists are made a slice at a time: ten thousand nodes take a quarter of a second, for which every node would wait
// that connects meanwhile, and every other administrator.
import { setImmediate as nextTurn } from "node:timers/promises";

/** Rows of a list dealt with in one turn of the event loop: a few milliseconds. */
export const rowsInTurn = 200;

/** `items.map(make)`, with a turn for others after each slice. The rows need not be of one moment. */
export async function mapInTurns<Item, Row>(
  items: readonly Item[],
  make: (item: Item) => Row,
): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const item of items) {
    if (rows.length > 0 && rows.length % rowsInTurn === 0) {
      await nextTurn();
    }
    rows.push(make(item));
  }
  return rows;
}

/** Runs through the steps, with a turn for others between them. */
export async function inTurns(steps: Iterator<unknown>): Promise<void> {
  while (steps.next().done !== true) {
    await nextTurn();
  }
}
