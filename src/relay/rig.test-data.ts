// A relay on a loopback listener and clients that keep what they are told, for this room's tests.
import { createServer, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { SecureContextOptions } from "node:tls";
import { generatePrivateKey, type PrivateKey } from "../wire/keys.ts";
import { dialDerp, type DerpClient, type DerpDial, type DerpEvent } from "./derp-client.ts";
import { createDerpServer, type DerpServer, type DerpServerOptions } from "./derp-server.ts";
import { until as eventually } from "../../test/patience.ts";

export interface Rig {
  readonly relay: DerpServer;
  readonly port: number;
  /** Connects a client with a fresh key, or the one given. */
  client(dial?: Partial<DerpDial>): Promise<TestClient>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface TestClient extends DerpClient {
  readonly key: PrivateKey;
  readonly events: readonly DerpEvent[];
  /** The first event from now on, or already here and not yet taken, that fits. */
  next<Kind extends DerpEvent["kind"]>(kind: Kind): Promise<Extract<DerpEvent, { kind: Kind }>>;
}

export interface RigOptions extends Partial<DerpServerOptions> {
  readonly tls?: SecureContextOptions;
}

export async function createRig({ tls, ...options }: RigOptions = {}): Promise<Rig> {
  const relay = createDerpServer({ privateKey: generatePrivateKey(), admit: () => true, ...options });
  const server: Server = tls === undefined ? createServer() : createTlsServer(tls);
  server.on("upgrade", (req, socket, head) => relay.handleUpgrade(req, socket, head));
  server.listen(0, "127.0.0.1");
  await new Promise((done) => server.once("listening", done));
  const { port } = server.address() as AddressInfo;
  const clients: DerpClient[] = [];
  return {
    relay,
    port,
    async client(dial = {}) {
      const client = await connectClient({
        host: "127.0.0.1",
        port,
        ...(tls === undefined ? {} : { tls: { rejectUnauthorized: false } }),
        ...dial,
      });
      clients.push(client);
      return client;
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) {
        client.close();
      }
      await relay.close({ graceful: false });
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

export async function connectClient(dial: Pick<DerpDial, "host" | "port"> & Partial<DerpDial>): Promise<TestClient> {
  const key = dial.privateKey ?? generatePrivateKey();
  const events: DerpEvent[] = [];
  const untaken: DerpEvent[] = [];
  let wake = (): void => undefined;
  const client = await dialDerp({
    ...dial,
    privateKey: key,
    onEvent(event) {
      dial.onEvent?.(event);
      events.push(event);
      untaken.push(event);
      wake();
    },
  });
  return {
    ...client,
    key,
    events,
    async next<Kind extends DerpEvent["kind"]>(kind: Kind) {
      const isWanted = (event: DerpEvent): event is Extract<DerpEvent, { kind: Kind }> => event.kind === kind;
      for (;;) {
        const at = untaken.findIndex(isWanted);
        const found = untaken[at];
        if (found !== undefined && isWanted(found)) {
          untaken.splice(at, 1);
          return found;
        }
        let alive = true;
        await Promise.race([
          new Promise<void>((done) => {
            wake = done;
          }),
          client.closed.then(() => {
            alive = false;
          }),
        ]);
        if (!alive && !untaken.some(isWanted)) {
          throw new Error(`the connection ended while waiting for "${kind}"`);
        }
      }
    },
  };
}

/** Resolves once `condition` holds; the test's own time limit ends a wait in vain. */
export function until(condition: () => boolean): Promise<void> {
  return eventually(condition.toString(), condition);
}

/** A packet that passes for disco: magic, a key, a nonce and a little more. */
export function discoPacket(): Buffer {
  return Buffer.concat([Buffer.from("5453f09f92ac", "hex"), Buffer.alloc(32 + 24 + 16, 7)]);
}
