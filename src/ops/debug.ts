// The pages under /debug/ for whoever runs the server, beside the metrics: only for callers on this machine or in the
// tailnet, never through a proxy, and without anything that opens a door: keys and hashes are cut to their beginning.
// Every page is a value that is shown as text or, for programs, as JSON.
import type { IncomingMessage, ServerResponse } from "node:http";
import { type Addr, parseAddr, parsePrefix, type Prefix, prefixContains } from "../ip/index.ts";
import { blotSecrets } from "./logger.ts";

export interface DebugAnswer {
  /** JSON-ready. */
  readonly value: unknown;
  /** For people; the value laid out when there is none. */
  readonly text?: string;
}

export interface DebugPage {
  /** One line for the index. */
  readonly about: string;
  /** What follows the name in the index, like `?node=ID`. */
  readonly usage?: string;
  /** A text says what is wrong with the question. */
  readonly answer: (query: URLSearchParams) => DebugAnswer | string;
  /** Takes what a PUT brings; a text says what is wrong with it. */
  readonly change?: (body: string, from: string) => DebugAnswer | string;
}

export interface DebugOptions {
  readonly pages: ReadonlyMap<string, DebugPage>;
  /** The tailnet's addresses. */
  readonly tailnet: readonly Prefix[];
  /** Names, besides addresses and localhost, that a request may be addressed to; their subdomains too. */
  readonly hosts: readonly string[];
}

/** Takes requests for /debug and below; false for others. */
export type DebugHandler = (request: IncomingMessage, response: ServerResponse) => boolean;

const loopback = ["127.0.0.0/8", "::1/128"].flatMap((text) => parsePrefix(text) ?? []);
/** Marks of a proxy: behind one, every caller looks like this machine. */
const proxyHeaders = ["x-forwarded-for", "x-forwarded-host", "x-real-ip", "true-client-ip", "forwarded", "via"];
const maxBody = 1024;

export function createDebug(options: DebugOptions): DebugHandler {
  const { pages } = options;

  function handle(request: IncomingMessage, response: ServerResponse, url: URL): void {
    const asJson = (request.headers.accept ?? "").includes("application/json");
    const name = url.pathname.replace(/^\/debug\/?/, "");
    if (name === "") {
      send(response, 200, asJson, index(pages));
      return;
    }
    const page = pages.get(name);
    if (page === undefined) {
      send(response, 404, asJson, problem("no such page; /debug/ lists them"));
      return;
    }
    const answer = (given: DebugAnswer | string): void =>
      typeof given === "string" ? send(response, 400, asJson, problem(given)) : send(response, 200, asJson, given);
    if (request.method === "PUT" && page.change !== undefined) {
      const { change } = page;
      readBody(request).then(
        (body) => answer(change(body, request.socket.remoteAddress ?? "")),
        () => response.destroy(),
      );
      return;
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("allow", page.change === undefined ? "GET, HEAD" : "GET, HEAD, PUT");
      send(response, 405, asJson, problem("method not allowed"));
      return;
    }
    answer(page.answer(url.searchParams));
  }

  return (request, response) => {
    const url = URL.parse(request.url ?? "", "http://debug");
    if (url === null || (url.pathname !== "/debug" && !url.pathname.startsWith("/debug/"))) {
      return false;
    }
    if (mayLook(request, options)) {
      handle(request, response, url);
    } else {
      request.resume();
      send(response, 403, false, { value: "", text: "debug access denied" });
    }
    return true;
  };
}

/** Only the socket's own address counts; a browser that was lured here by a foreign name is kept out. */
function mayLook(request: IncomingMessage, { tailnet, hosts }: DebugOptions): boolean {
  const addr = addressOf(request.socket.remoteAddress ?? "");
  const trusted = addr !== undefined && (isLoopback(addr) || tailnet.some((prefix) => prefixContains(prefix, addr)));
  return (
    trusted &&
    !proxyHeaders.some((name) => request.headers[name] !== undefined) &&
    request.headers.origin === undefined &&
    isOwnName(request.headers.host ?? "", hosts)
  );
}

function addressOf(text: string): Addr | undefined {
  return parseAddr(text.replace(/^::ffff:(?=\d+\.)/i, "").replace(/%.*$/, ""));
}

function isLoopback(addr: Addr): boolean {
  return loopback.some((prefix) => prefixContains(prefix, addr));
}

function isOwnName(header: string, hosts: readonly string[]): boolean {
  const url = URL.parse(`http://${header}`);
  if (header === "" || url === null) {
    return false;
  }
  const host = url.hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
  return (
    parseAddr(host) !== undefined ||
    host === "localhost" ||
    hosts.some((own) => own !== "" && (host === own || host.endsWith(`.${own}`)))
  );
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBody) {
      throw new Error("too large");
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function problem(text: string): DebugAnswer {
  return { value: { error: text }, text };
}

function index(pages: ReadonlyMap<string, DebugPage>): DebugAnswer {
  const rows = [...pages].map(([name, { about, usage = "" }]) => ({ path: `/debug/${name}${usage}`, about }));
  const width = Math.max(...rows.map(({ path }) => path.length));
  return {
    value: rows,
    text: `${rows.map(({ path, about }) => `${path.padEnd(width)}  ${about}`).join("\n")}\n\nJSON with: Accept: application/json`,
  };
}

function send(response: ServerResponse, status: number, asJson: boolean, { value, text }: DebugAnswer): void {
  const body = asJson ? JSON.stringify(value) : (text ?? layOut(value));
  response.writeHead(status, {
    "content-type": asJson ? "application/json" : "text/plain; charset=utf-8",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  response.end(`${withoutSecrets(body)}\n`);
}

/** Indented, names before values, without the noise of JSON. */
function layOut(value: unknown): string {
  return JSON.stringify(value, undefined, 2) ?? "";
}

/** Keys, public ones too, and hashes: enough is left to recognise one that is known. Of URLs, what lets somebody in. */
export function withoutSecrets(text: string): string {
  return blotSecrets(text)
    .replace(/\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}/g, "$2…")
    .replace(/\b([0-9a-fA-F]{8})[0-9a-fA-F]{24,}\b/g, "$1…")
    .replace(/\b(AAAA[A-Za-z0-9+/]{8})[A-Za-z0-9+/=]{16,}/g, "$1…")
    .replace(/(\b[a-z][a-z0-9+.-]*:\/\/)[^\s"'/@]+@/gi, "$1***@")
    .replace(/(\bhttps?:\/\/[^\s"'?]+\?)[^\s"']+/gi, "$1***");
}
