// Nothing happens: then the server sleeps.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { wakeUps } from "../bench/thread-usage.ts";
import { controlWorld } from "./control-world.ts";
import { pause } from "./patience.ts";

const seconds = 5;
/** Looks at the clock for all sessions together, four a second, and the rooms' own, one each. */
const mostASecond = 15;

test(
  "an idle server with open maps wakes up a few times a second, however many they are",
  { skip: process.platform === "linux" ? false : "counts wake-ups from /proc" },
  async (context) => {
    const world = await controlWorld(context, { metrics: true });
    for (let count = 0; count < 20; count++) {
      await world.join();
    }
    // What joining left to be written and told.
    await pause(3);
    const before = wakeUps(process.pid);
    await sleep(seconds * 1000);
    const each = (wakeUps(process.pid) - before) / seconds;
    assert.ok(each <= mostASecond, `${each} wake-ups a second`);
  },
);
