// One run of the deterministic simulation: a seed decides everything that happens to a server and its clients: joins,
// leaves, slow readers, cuts, policy changes, key rotation, admin commands, crash and restart. When it is quiet again,
// every connected client must hold exactly the netmap that the server would compute from scratch.
import { expectedNetmap } from "../../src/netmap/expected.ts";
import { MemoryDisk } from "../../src/store/memory.ts";
import type { Actor } from "../../src/tailnet/contract.ts";
import type { UserId } from "../../src/wire/ids.ts";
import { compareNetmaps } from "../compare.ts";
import { NetmapModel } from "../netmap-model.ts";
import { SimulatedClient } from "./client.ts";
import { SimulatedEdge } from "./edge.ts";
import { policies } from "./policies.ts";
import { seeded } from "./random.ts";
import type { Random } from "./random.ts";
import { startSimulatedServer } from "./server.ts";
import type { SimulatedServer } from "./server.ts";
import { SimulatedTime } from "./time.ts";

export interface SimulationOptions {
  readonly seed: number;
  readonly clients: number;
  /** Things that happen before the quiet end. */
  readonly steps: number;
}

export interface SimulationReport {
  readonly seed: number;
  /** Empty when all is as it must be. */
  readonly faults: readonly string[];
  readonly crashes: number;
  readonly compared: number;
  readonly fullMaps: number;
  readonly deltas: number;
}

const start = Date.UTC(2026, 10, 20);
const admin: Actor = { kind: "cli", id: "simulation", from: "" };
const tags = ["tag:a", "tag:b", "tag:c"];

export async function simulate(options: SimulationOptions): Promise<SimulationReport> {
  const random = seeded(options.seed);
  const time = new SimulatedTime(start, random);
  return new Simulation(options, random, time).run();
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #random: Random;
  readonly #time: SimulatedTime;
  readonly #disk = new MemoryDisk();
  readonly #edge: SimulatedEdge;
  readonly #clients: SimulatedClient[] = [];
  readonly #faults: string[] = [];
  #server: SimulatedServer | undefined;
  #crashes = 0;
  #fullMaps = 0;
  #deltas = 0;

  constructor(options: SimulationOptions, random: Random, time: SimulatedTime) {
    this.#options = options;
    this.#random = random;
    this.#time = time;
    this.#edge = new SimulatedEdge(time, random);
  }

  async run(): Promise<SimulationReport> {
    await this.#during(this.#boot());
    await this.#during(this.#populate());
    for (let step = 0; step < this.#options.steps; step++) {
      this.#something();
      await this.#pass(this.#random.below(400));
    }
    await this.#quieten();
    const compared = this.#compare();
    this.#count();
    return {
      seed: this.#options.seed,
      faults: this.#faults,
      crashes: this.#crashes,
      compared,
      fullMaps: this.#fullMaps,
      deltas: this.#deltas,
    };
  }

  get #up(): SimulatedServer {
    if (this.#server === undefined) {
      throw new Error("the simulated server is down");
    }
    return this.#server;
  }

  async #boot(): Promise<void> {
    const server = await startSimulatedServer(this.#time, this.#random, this.#disk);
    this.#server = server;
    this.#edge.connect(server.attach(this.#edge));
  }

  async #populate(): Promise<void> {
    const { tailnet } = this.#up;
    const secrets: string[] = [];
    for (const name of ["user1", "user2", "user3"]) {
      const user = await tailnet.createUser(admin, { name });
      const id = user.ok ? user.value.id : (0 as UserId);
      for (const ephemeral of [false, false, true]) {
        const key = await tailnet.createPreAuthKey(admin, {
          user: id,
          reusable: true,
          ephemeral,
          tags: [],
          expiration: null,
        });
        secrets.push(key.ok ? key.value.secret : "");
      }
    }
    for (const tag of tags) {
      const key = await tailnet.createPreAuthKey(admin, {
        user: null,
        reusable: true,
        ephemeral: false,
        tags: [tag],
        expiration: null,
      });
      secrets.push(key.ok ? key.value.secret : "");
    }
    for (let i = 0; i < this.#options.clients; i++) {
      const secret = this.#random.pick(secrets) ?? "";
      this.#clients.push(new SimulatedClient(`node${i}`, secret, this.#edge, this.#time, this.#random));
    }
  }

  /** Waits for what needs simulated time to go on. */
  async #during<Value>(work: Promise<Value>): Promise<Value> {
    const state = { done: false };
    const end = (): void => {
      state.done = true;
    };
    work.then(end, end);
    while (!state.done) {
      await this.#pass(10);
    }
    return work;
  }

  #pass(ms: number): Promise<void> {
    return this.#time.runUntil(this.#time.now() + ms);
  }

  /** One thing happens, to a client, to the tailnet or to the server. */
  #something(): void {
    const client = this.#random.pick(this.#clients);
    if (client === undefined) {
      return;
    }
    const dice = this.#random.below(100);
    if (dice < 30) {
      client.start();
    } else if (dice < 38) {
      client.breakOff();
    } else if (dice < 58) {
      client.moveEndpoints();
      void client.tell();
    } else if (dice < 63) {
      client.advertise();
      void client.tell();
    } else if (dice < 66) {
      client.rename();
      void client.tell();
    } else if (dice < 71) {
      client.slow = !client.slow;
    } else if (dice < 75) {
      void client.rotateKey();
    } else if (dice < 77) {
      void client.logout();
    } else if (dice < 78) {
      this.#crash();
    } else {
      this.#adminAct(dice);
    }
  }

  #adminAct(dice: number): void {
    const server = this.#server;
    const node = server === undefined ? undefined : this.#random.pick(server.tailnet.nodes());
    if (server === undefined || node === undefined) {
      return;
    }
    const { tailnet } = server;
    const ignore = (work: Promise<unknown>): void => void work.catch(() => undefined);
    if (dice < 81) {
      ignore(tailnet.setPolicy(admin, this.#random.pick(policies) ?? ""));
    } else if (dice < 85) {
      ignore(tailnet.setApprovedRoutes(admin, node.id, this.#random.chance(0.3) ? [] : node.advertised));
    } else if (dice < 88) {
      ignore(
        tailnet.setTags(
          admin,
          node.id,
          tags.filter(() => this.#random.chance(0.5)),
        ),
      );
    } else if (dice < 91) {
      ignore(tailnet.renameNode(admin, node.id, `name-${this.#random.below(1000)}`));
    } else if (dice < 93) {
      ignore(tailnet.expireNode(admin, node.id, this.#random.chance(0.5) ? this.#time.now() : null));
    } else if (dice < 95) {
      ignore(tailnet.deleteNode(admin, node.id));
    } else if (dice < 97) {
      tailnet.setRouteHealth(node.id, this.#random.chance(0.5));
    } else {
      const user = this.#random.pick(tailnet.users());
      if (user !== undefined) {
        ignore(tailnet.moveNode(admin, node.id, user.id));
      }
    }
  }

  /** The process dies between two instructions and is started again a little later. */
  #crash(): void {
    const server = this.#server;
    if (server === undefined) {
      return;
    }
    this.#crashes += 1;
    this.#count();
    this.#server = undefined;
    server.kill();
    this.#edge.serverDied();
    this.#time.after(this.#random.below(3000), () => void this.#boot());
  }

  #count(): void {
    const counters = this.#server?.netmap.counters;
    this.#fullMaps += counters?.fullMaps ?? 0;
    this.#deltas += counters?.deltas ?? 0;
  }

  /** Nothing new happens; everybody reads, connects and hears all there is to hear. */
  async #quieten(): Promise<void> {
    for (const client of this.#clients) {
      client.slow = false;
    }
    // Longer than offline grace, retries and the removal of ephemeral nodes together.
    await this.#pass(180_000);
  }

  #compare(): number {
    const { tailnet, netmap, settings } = this.#up;
    let compared = 0;
    let connected = 0;
    for (const client of this.#clients) {
      if (client.failure !== undefined) {
        this.#faults.push(`${client.name}: ${client.failure.message}`);
      }
      if (client.state !== "following") {
        continue;
      }
      connected += 1;
      const node = tailnet.nodeByKey(client.nodeKey);
      if (node === undefined) {
        this.#faults.push(`${client.name} follows a map of a node that does not exist`);
        continue;
      }
      if (!node.online) {
        this.#faults.push(`${client.name} is connected and counts as offline`);
      }
      const viewer = { node: node.id, capVersion: 142, omitPeers: false };
      const expected = expectedNetmap(tailnet, settings, viewer, this.#time.now());
      if (expected === undefined) {
        continue;
      }
      const fresh = new NetmapModel();
      fresh.apply({
        Node: expected.self,
        Peers: expected.peers,
        PacketFilters: { base: expected.filter },
        SSHPolicy: { rules: expected.ssh },
        DNSConfig: expected.dns,
        DERPMap: expected.derp,
        UserProfiles: expected.profiles,
        Domain: settings.domain,
      });
      compared += 1;
      for (const { where, field, had, fresh: wanted } of compareNetmaps(client.netmap, fresh).slice(0, 3)) {
        this.#faults.push(
          `${client.name} (node ${node.id}) ${where} ${field}: has ${JSON.stringify(had)}, should have ${JSON.stringify(wanted)}`,
        );
      }
    }
    if (netmap.sessionCount !== connected) {
      this.#faults.push(`the server counts ${netmap.sessionCount} streams, the clients ${connected}`);
    }
    const online = tailnet.nodes().filter((node) => node.online).length;
    if (online !== connected) {
      this.#faults.push(`${online} nodes count as online, ${connected} are connected`);
    }
    return compared;
  }
}
