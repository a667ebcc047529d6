// A small OpenID Connect provider for tests of logins, as `hawser mockoidc` and in the tests of this project. It believes
// everybody: never put it where strangers can reach it and a real server trusts it.
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createEndpoints } from "./endpoints.ts";
import type { Answer, Asked, EndpointOptions, Endpoints } from "./endpoints.ts";

export interface MockProviderOptions extends Partial<Pick<EndpointOptions, "accessTtl" | "users" | "now">> {
  readonly host: string;
  /** 0 takes any that is free. */
  readonly port: number;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Of each request, without its secrets. */
  readonly onRequest?: (method: string, path: string, status: number) => void;
}

export interface MockProvider extends Pick<Endpoints, "queueUser" | "failNext"> {
  readonly issuer: string;
  close(): Promise<void>;
}

export const defaultAccessTtl = 2 * 60_000;
const maxFormBytes = 64 * 1024;

/** Listens on this one address. Throws what the system says when it cannot be had. */
export async function startMockProvider(options: MockProviderOptions): Promise<MockProvider> {
  const { host, clientId, clientSecret, accessTtl = defaultAccessTtl, users = [], now = Date.now } = options;
  const pending: { endpoints: Endpoints | undefined } = { endpoints: undefined };
  const server = createServer({ requestTimeout: 10_000 }, (request, response) => {
    void serve(request, response, pending.endpoints).then((status) => {
      options.onRequest?.(request.method ?? "", pathOf(request), status);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, host, () => resolve());
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : options.port;
  const issuer = `http://${host.includes(":") ? `[${host}]` : host}:${port}${base}`;
  const endpoints = await createEndpoints({ issuer, clientId, clientSecret, accessTtl, users, now });
  pending.endpoints = endpoints;
  return {
    issuer,
    queueUser: (user) => endpoints.queueUser(user),
    failNext: (path, status) => endpoints.failNext(path, status),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** headscale's has its issuer there. */
const base = "/oidc";

function pathOf({ url = "/" }: IncomingMessage): string {
  return url.split("?", 1)[0] ?? "";
}

/** The status that was answered. */
async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  endpoints: Endpoints | undefined,
): Promise<number> {
  const asked = await readRequest(request).catch(() => undefined);
  const answer: Answer =
    asked === undefined
      ? { status: 400, headers: {}, body: "The request cannot be read.\n" }
      : (endpoints?.answer(asked) ?? { status: 503, headers: {}, body: "The provider is starting.\n" });
  response.writeHead(answer.status, answer.headers).end(answer.body);
  return answer.status;
}

async function readRequest(request: IncomingMessage): Promise<Asked> {
  const { method = "GET", url = "/" } = request;
  const question = url.indexOf("?");
  const path = pathOf(request);
  const text = method === "POST" ? await readForm(request) : question === -1 ? "" : url.slice(question + 1);
  return {
    method,
    path: path.startsWith(`${base}/`) ? path.slice(base.length) : "",
    parameters: new URLSearchParams(text),
    authorization: request.headers.authorization,
  };
}

async function readForm(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > maxFormBytes) {
      throw new Error("the form is too large");
    }
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString("utf8");
}
