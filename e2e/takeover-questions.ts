// What scripts ask a server over headscale's own program, and the answers as two servers of one tailnet must give them.
import type { HeadscaleTailnet, Told } from "./headscale-tailnet.ts";
import { until } from "./netns.ts";
import type { HeadscaleMachine } from "./headscale-machine.ts";

const questions = ["nodes list", "nodes list-routes", "users list", "preauthkeys list", "apikeys list"] as const;

/** Every question's answer, without what differs from one moment to the next, and the policy as text. */
export async function answersOf(machine: HeadscaleMachine): Promise<Readonly<Record<string, unknown>>> {
  const answers: Record<string, unknown> = { policy: (await machine.headscale(["policy", "get"])).stdout };
  for (const question of questions) {
    answers[question] = lasting(await machine.headscaleJson<unknown>(question.split(" ")));
  }
  return answers;
}

/** A client makes a new disco key at every start. */
const passing = new Set(["last_seen", "online", "disco_key", "nanos"]);

/** Presence goes; times are to the second, the year 1 being none; lists of words are sets. */
function lasting(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items: readonly unknown[] = value;
    return items.every((item) => typeof item === "string") ? [...items].sort() : items.map(lasting);
  }
  if (typeof value !== "object" || value === null) {
    return value;
  }
  const entries = Object.entries(value).filter(([key]) => !passing.has(key));
  return Object.fromEntries(
    entries.flatMap(([key, inner]) => (isNoTime(inner) ? [] : [[key, lasting(inner)] as const])),
  );
}

function isNoTime(value: unknown): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    (!("seconds" in value) ? Object.keys(value).length === 0 : Number(value.seconds) < 0)
  );
}

/** What headscale's clients know and its own program prints, to be the same under Hawser. */
export interface Remembered {
  readonly told: ReadonlyMap<string, Told>;
  readonly answers: Readonly<Record<string, unknown>>;
}

/** Waits until the router lets the office's traffic in, the last that comes of approving its routes, and takes note. */
export async function remember(tailnet: HeadscaleTailnet, names: readonly string[]): Promise<Remembered> {
  await until("the router lets the office's traffic in", 30, async () =>
    (await tailnet.told("router")).filter.some((rule) => rule.includes("10.20.0.0/24")) ? true : undefined,
  );
  const told = new Map<string, Told>();
  for (const name of names) {
    told.set(name, await tailnet.told(name));
  }
  return { told, answers: await answersOf(tailnet.machine) };
}
