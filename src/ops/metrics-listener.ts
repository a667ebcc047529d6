// The listener for those who watch the server: metrics, health and version, apart from what clients reach.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { DebugHandler } from "./debug.ts";
import { type Metrics, metricsContentType } from "./metrics.ts";

export interface MetricsListener {
  readonly address: AddressInfo;
  close(): Promise<void>;
}

export async function startMetricsListener(options: {
  readonly host: string;
  readonly port: number;
  readonly metrics: Metrics;
  readonly checkHealth: () => Promise<void>;
  /** Takes what is under /debug/. */
  readonly debug?: DebugHandler;
}): Promise<MetricsListener> {
  const server: Server = createServer({ maxHeaderSize: 8192, headersTimeout: 5000, requestTimeout: 10_000 });
  server.on("request", (request, response) => {
    const path = (request.url ?? "").split("?")[0];
    if (options.debug?.(request, response) === true) {
      return;
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.writeHead(405, { allow: "GET, HEAD" }).end();
    } else if (path === "/metrics") {
      response.writeHead(200, { "content-type": metricsContentType }).end(options.metrics.render());
    } else if (path === "/health") {
      options.checkHealth().then(
        () => response.writeHead(200, { "content-type": "application/health+json" }).end('{"status":"pass"}'),
        () => response.writeHead(500, { "content-type": "application/health+json" }).end('{"status":"fail"}'),
      );
    } else {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: options.host === "" ? undefined : options.host, port: options.port }, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const address = server.address();
  if (address === null || typeof address === "string") {
    throw new Error("the metrics listener has no address");
  }
  return {
    address,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
