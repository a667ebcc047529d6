// headscale's own server with a small tailnet of simulated clients in it: what it says of a policy, and what it then
// tells the nodes. One process for thousands of policies; only loopback.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toJson, type Message } from "@bufbuild/protobuf";
import { ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { z } from "zod";
import { SimClient } from "../../sim/client.ts";
import { fetchServerKey } from "../../sim/dial.ts";
import { serviceOf } from "../../src/api/grpc/descriptors.ts";
import { operations } from "../../src/api/operations.ts";
import type { NetmapModel } from "../../sim/netmap-model.ts";

export interface DifferentialUser {
  readonly id: number;
  readonly name: string;
  readonly email: string;
}

export interface DifferentialNode {
  readonly name: string;
  readonly user?: string;
  readonly tags?: readonly string[];
  readonly routes?: readonly string[];
}

/** A node as headscale has it. */
export interface JoinedNode extends DifferentialNode {
  readonly client: SimClient;
  readonly ipv4: string;
  readonly ipv6: string;
}

type Ask = (method: string, input?: object) => Promise<unknown>;

export class HeadscaleServer {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #url: URL;
  readonly #ask: Ask;
  readonly users: DifferentialUser[] = [];
  readonly nodes: JoinedNode[] = [];

  /** The last of what it said on its error stream. */
  readonly said: () => string;

  private constructor(child: ChildProcess, folder: string, url: URL, said: () => string) {
    this.#child = child;
    this.#folder = folder;
    this.#url = url;
    this.said = said;
    this.#ask = askerOf(join(folder, "hs.sock"));
  }

  static async start(program: string): Promise<HeadscaleServer> {
    const folder = mkdtempSync(join(tmpdir(), "hawser-differential-"));
    const port = await freePort();
    writeFileSync(join(folder, "config.yaml"), configText(folder, port));
    writeFileSync(join(folder, "derp.yaml"), derpText);
    const child = spawn(program, ["-c", join(folder, "config.yaml"), "serve"], {
      env: { PATH: process.env["PATH"] ?? "", HOME: folder },
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-20_000);
    });
    const server = new HeadscaleServer(child, folder, new URL(`http://127.0.0.1:${port}`), () => said);
    try {
      await server.#isUp();
    } catch (error) {
      await server.close();
      throw error;
    }
    return server;
  }

  async #isUp(): Promise<void> {
    for (let attempt = 0; attempt < 100; attempt += 1) {
      const health = await fetch(new URL("/health", this.#url)).catch(() => undefined);
      if (health?.ok === true) {
        return;
      }
      if (this.#child.exitCode !== null) {
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    throw new Error(`headscale did not start:\n${this.said()}`);
  }

  async createUser(name: string, email: string): Promise<void> {
    const { user } = z
      .object({ user: z.object({ id: z.string() }) })
      .parse(await this.#ask("CreateUser", { name, email }));
    this.users.push({ id: Number(user.id), name, email });
  }

  /** Registers a node with a key of its own and approves its routes. */
  async join(node: DifferentialNode): Promise<void> {
    const owner = this.users.find(({ name }) => name === node.user);
    const { preAuthKey } = z.object({ preAuthKey: z.object({ key: z.string() }) }).parse(
      await this.#ask("CreatePreAuthKey", {
        user: BigInt(owner?.id ?? 0),
        reusable: false,
        aclTags: [...(node.tags ?? [])],
        expiration: { seconds: BigInt(Math.floor(Date.now() / 1000) + 3600), nanos: 0 },
      }),
    );
    const serverPublic = await fetchServerKey(this.#url, 142);
    const client = new SimClient({
      url: this.#url,
      serverPublic,
      hostname: node.name,
      hostinfo: { RoutableIPs: [...(node.routes ?? [])] },
    });
    await client.join({ authKey: preAuthKey.key });
    const { self } = await client.openMap();
    if (self === undefined) {
      throw new Error(`${node.name} was told nothing of itself`);
    }
    if (node.routes !== undefined) {
      await client.update({});
      await this.#ask("SetApprovedRoutes", { nodeId: BigInt(self.ID), routes: [...node.routes] });
    }
    const addresses = (self.Addresses ?? []).map((text) => text.split("/")[0] ?? "");
    const of = (mark: string): string => addresses.find((text) => text.includes(mark)) ?? "";
    this.nodes.push({ ...node, client, ipv4: of("."), ipv6: of(":") });
  }

  /** A policy was too much for it. */
  get isDead(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Undefined: accepted. */
  check(policy: string): Promise<string | undefined> {
    return this.#judge("CheckPolicy", policy);
  }

  set(policy: string): Promise<string | undefined> {
    return this.#judge("SetPolicy", policy);
  }

  async #judge(method: string, policy: string): Promise<string | undefined> {
    try {
      await this.#ask(method, { policy });
      return undefined;
    } catch (error) {
      if (error instanceof ConnectError) {
        return error.rawMessage;
      }
      throw error;
    }
  }

  /** What every node is told now, from a fresh stream. */
  async netmaps(): Promise<ReadonlyMap<string, NetmapModel>> {
    const found = await Promise.all(
      this.nodes.map(async ({ name, client }) => [name, await client.openMap()] as const),
    );
    return new Map(found);
  }

  async close(): Promise<void> {
    this.nodes.forEach(({ client }) => client.close());
    if (!this.isDead) {
      const ended = once(this.#child, "exit");
      this.#child.kill("SIGKILL");
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function askerOf(socketPath: string): Ask {
  const service = serviceOf(operations.map(({ call }) => call).filter((call) => call.inHeadscale));
  const transport = createGrpcTransport({
    baseUrl: "http://localhost",
    nodeOptions: { createConnection: () => connect(socketPath) },
  });
  const client = createClient(service, transport);
  return async (name, input = {}) => {
    const method = service.methods.find((candidate) => candidate.name === name);
    const rpc: unknown = method === undefined ? undefined : Reflect.get(client, method.localName);
    if (method === undefined || typeof rpc !== "function") {
      throw new Error(`no call ${name}`);
    }
    const answer = (await rpc(input, { timeoutMs: 20_000 })) as Message;
    return toJson(method.output, answer);
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  if (address === null || typeof address === "string") {
    throw new Error("no port");
  }
  return address.port;
}

function configText(folder: string, port: number): string {
  return `
server_url: http://127.0.0.1:${port}
listen_addr: 127.0.0.1:${port}
metrics_listen_addr: ""
grpc_listen_addr: ""
noise: { private_key_path: ${folder}/noise.key }
prefixes: { v4: 100.64.0.0/10, v6: fd7a:115c:a1e0::/48, allocation: random }
derp: { urls: [], paths: [${folder}/derp.yaml], auto_update_enabled: false }
database: { type: sqlite, sqlite: { path: ${folder}/db.sqlite } }
dns: { magic_dns: false, base_domain: net.internal, override_local_dns: false }
policy: { mode: database }
node: { routes: { ha: { probe_interval: 0s } } }
tuning: { batch_change_delay: 5ms, node_store_batch_timeout: 5ms }
unix_socket: ${folder}/hs.sock
disable_check_updates: true
log: { level: warn }
`;
}

const derpText = `
regions:
  900:
    regionid: 900
    regioncode: here
    regionname: Here
    nodes:
      - { name: 900a, regionid: 900, hostname: 127.0.0.1, ipv4: 127.0.0.1, stunport: -1 }
`;
