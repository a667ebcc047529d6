// A process full of clients that read well, badly or not at all, steered over IPC.
import { compareNetmaps } from "../sim/compare.ts";
import { SimClient } from "../sim/client.ts";
import { watchedAddress } from "./protocol.ts";

export type ReaderCommand =
  | {
      readonly kind: "join";
      readonly url: string;
      readonly serverKeyHex: string;
      readonly authKey: string;
      readonly first: number;
      readonly count: number;
    }
  /** Their map streams, read as fast as they come. */
  | { readonly kind: "open" }
  /** Nothing is read any more. */
  | { readonly kind: "pause" }
  | { readonly kind: "resume" }
  /** From now on each reads for `readMs` in every `everyMs`, one after the other. */
  | { readonly kind: "dawdle"; readonly readMs: number; readonly everyMs: number }
  /** Notes when this peer's first endpoint arrives, by its port, where it is at `watchedAddress`. */
  | { readonly kind: "watch"; readonly node: number }
  | { readonly kind: "arrivals" }
  /** Whether all have this peer at this endpoint. */
  | { readonly kind: "behind"; readonly node: number; readonly endpoint: string }
  /** Opens every map anew and compares it with what was there. */
  | { readonly kind: "compare" };

export interface ReaderAnswer {
  /** By client, in their order: ports of the endpoints, and when each came, ms on the clock that all processes share. */
  readonly arrivals?: readonly (readonly Arrival[])[];
  readonly behind?: number;
  readonly differences?: number;
  readonly compared?: number;
  readonly samples?: readonly string[];
  readonly error?: string;
}

export type Arrival = readonly [port: number, at: number];

const lanes = 25;
let clients: SimClient[] = [];
const arrivals = new Map<SimClient, Arrival[]>();
let watched = 0;
let dawdling: NodeJS.Timeout | undefined;

process.on("message", (command: ReaderCommand) => {
  run(command).then(
    (answer) => process.send?.(answer),
    (error: unknown) => process.send?.({ error: error instanceof Error ? (error.stack ?? "") : String(error) }),
  );
});
process.on("disconnect", () => process.exit(0));

async function run(command: ReaderCommand): Promise<ReaderAnswer> {
  switch (command.kind) {
    case "join":
      await join(command);
      return {};
    case "open":
      await inLanes(clients, (client) => open(client));
      return {};
    case "pause":
      await inLanes(clients, async (client) => (await client.connect()).pause());
      return {};
    case "resume":
      clearInterval(dawdling);
      dawdling = undefined;
      await inLanes(clients, async (client) => (await client.connect()).resume());
      return {};
    case "dawdle":
      dawdle(command.readMs, command.everyMs);
      return {};
    case "watch":
      watched = command.node;
      arrivals.clear();
      return {};
    case "arrivals":
      return { arrivals: clients.map((client) => arrivals.get(client) ?? []) };
    case "behind":
      return {
        behind: clients.filter(({ netmap }) => netmap.peers.get(command.node)?.Endpoints?.[0] !== command.endpoint)
          .length,
      };
    case "compare":
      return compare();
  }
}

async function join(command: Extract<ReaderCommand, { kind: "join" }>): Promise<void> {
  const serverPublic = Buffer.from(command.serverKeyHex, "hex");
  clients = Array.from({ length: command.count }, (_, index) => {
    const number = command.first + index;
    return new SimClient({
      url: new URL(command.url),
      serverPublic,
      hostname: `reader-${number}`,
      localAddress: `127.0.${1 + Math.floor(number / 200)}.${1 + (number % 200)}`,
    });
  });
  await inLanes(clients, (client) => client.join({ authKey: command.authKey }));
}

async function open(client: SimClient): Promise<void> {
  let last = 0;
  await client.openMap({
    onMessage: ({ at }) => {
      const endpoint = watched === 0 ? undefined : client.netmap.peers.get(watched)?.Endpoints?.[0];
      const port = endpoint?.startsWith(watchedAddress) ? Number(endpoint.slice(watchedAddress.length)) : last;
      if (port !== last) {
        last = port;
        const own = arrivals.get(client) ?? [];
        own.push([port, performance.timeOrigin + at]);
        arrivals.set(client, own);
      }
    },
  });
}

/** In each step of a tenth of a second some read, so that in `everyMs` all have. */
function dawdle(readMs: number, everyMs: number): void {
  const step = 100;
  const some = Math.ceil((clients.length * step) / everyMs);
  let next = 0;
  dawdling = setInterval(() => {
    for (let count = 0; count < some; count++) {
      const client = clients[next++ % clients.length];
      void client?.connect().then((connection) => {
        connection.resume();
        setTimeout(() => (dawdling === undefined ? undefined : connection.pause()), readMs);
      });
    }
  }, step);
}

async function compare(): Promise<ReaderAnswer> {
  const had = clients.map(({ netmap }) => netmap);
  await inLanes(clients, async (client) => {
    client.closeMap();
    await open(client);
  });
  // What the blocks of a full map do not know yet comes in a message after it.
  await new Promise((done) => setTimeout(done, 1000));
  const samples: string[] = [];
  let differences = 0;
  let compared = 0;
  clients.forEach(({ netmap, hostname }, index) => {
    const before = had[index];
    compared += netmap.peers.size;
    for (const difference of before === undefined ? [] : compareNetmaps(before, netmap)) {
      differences++;
      if (samples.length < 3) {
        samples.push(`${hostname}: ${JSON.stringify(difference).slice(0, 300)}`);
      }
    }
  });
  return { differences, compared, samples };
}

async function inLanes<Item>(items: readonly Item[], work: (item: Item) => Promise<unknown>): Promise<void> {
  const rest = items.values();
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      for (const item of rest) {
        await work(item);
      }
    }),
  );
}
