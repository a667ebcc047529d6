// The relay's second door: TLS with the relay's own pinned certificate, for installations whose control server speaks
// plain HTTP or hides behind a proxy. Serves /derp and the probes and nothing else. TLS 1.3 only, so that the meta
// certificate in the chain stays off the wire; ALPN is answered when asked for and not demanded.
import { createServer, type Server } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { makeMetaCertificate } from "./certificate.ts";
import { systemClock, type RelayClock } from "./clock.ts";
import type { DerpServer } from "./derp-server.ts";
import { silentLog, type RelayLog } from "./log.ts";
import { loadSelfSigned, type SelfSigned } from "./self-signed.ts";
import { isDerpPath, refuse } from "./upgrade.ts";

export interface TlsListenerOptions {
  readonly derp: DerpServer;
  /** Probes and the like; false when the request is not its own. */
  readonly handle: (req: IncomingMessage, res: ServerResponse) => boolean;
  /** Host names and addresses the certificate is for; the first one is what clients dial. */
  readonly hosts: readonly string[];
  /** Where key and certificate are kept. */
  readonly certificateFile: string;
  /** "" listens on all addresses of both families. */
  readonly host: string;
  readonly port: number;
  readonly clock?: RelayClock;
  readonly log?: RelayLog;
  /** The certificate was made anew while running: the DERP map needs the new pin. */
  readonly onNewPin?: (pin: string) => void;
}

export interface TlsListener {
  readonly port: number;
  /** CertName of the DERP node. */
  pin(): string;
  close(): Promise<void>;
}

const dayMs = 86_400_000;
const metaLifetimeMs = 30 * dayMs;
const handshakeMs = 10_000;
/** TLS costs some 50 KB a connection, also before anybody is known. */
const maxConnections = 50_000;

/** Rejects when the port cannot be bound or the certificate not written: the caller says so and goes on without it. */
export async function createTlsListener(options: TlsListenerOptions): Promise<TlsListener> {
  const { derp, certificateFile, hosts } = options;
  const clock = options.clock ?? systemClock;
  const log = options.log ?? silentLog;

  function credentials(leaf: SelfSigned): { key: string; cert: string; minVersion: "TLSv1.3" } {
    const now = clock.wall();
    const meta = makeMetaCertificate(derp.publicKeyHex, now - metaLifetimeMs, now + metaLifetimeMs);
    return { key: leaf.keyPem, cert: leaf.certPem + meta.certPem, minVersion: "TLSv1.3" };
  }

  let leaf = await loadSelfSigned(certificateFile, hosts, clock.wall());
  const server: Server = createServer(
    {
      ...credentials(leaf),
      handshakeTimeout: handshakeMs,
      headersTimeout: handshakeMs,
      requestTimeout: handshakeMs,
      keepAliveTimeout: 5_000,
      maxHeaderSize: 8 * 1024,
    },
    (req, res) => {
      if (!options.handle(req, res)) {
        res.writeHead(404, { "Content-Type": "text/plain; charset=utf-8" }).end("not found\n");
      }
    },
  );
  server.on("upgrade", (req, socket, head) => {
    if (isDerpPath(req)) {
      derp.handleUpgrade(req, socket, head);
    } else {
      socket.on("error", () => socket.destroy());
      refuse(socket, 404, "Not Found", "not found");
    }
  });
  server.maxConnections = maxConnections;
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  server.on("clientError", (_error, socket) => socket.destroy());

  await new Promise<void>((done, fail) => {
    server.once("error", fail);
    server.listen(options.host === "" ? { port: options.port } : { port: options.port, host: options.host }, () => {
      server.off("error", fail);
      done();
    });
  });
  server.on("error", (error) => log("warn", "relay TLS listener", { error: error.message }));

  /** The meta certificate lives for a month, the leaf for years: both are looked after once a day. */
  async function renew(): Promise<void> {
    try {
      const next = await loadSelfSigned(certificateFile, hosts, clock.wall());
      const changed = next.pin !== leaf.pin;
      leaf = next;
      server.setSecureContext(credentials(leaf));
      if (changed) {
        log("info", "the relay has a new certificate", { pin: leaf.pin });
        options.onNewPin?.(leaf.pin);
      }
    } catch (error) {
      log("warn", "the relay's certificate could not be renewed", { error: String(error) });
    }
  }
  const stopRenewing = clock.every(dayMs, () => void renew());

  return {
    port: (server.address() as AddressInfo).port,
    pin: () => leaf.pin,
    close() {
      stopRenewing();
      return new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      });
    },
  };
}
