// Does steps to one side and tells what came of them.
import { request as httpRequest } from "node:http";
import { createHash } from "node:crypto";
import { parse } from "yaml";
import { SimClient } from "../../sim/client.ts";
import { generousSeconds, startStopwatch } from "../patience.ts";
import { at, isRecord, parsed } from "./json.ts";
import { openApiOutline } from "./openapi-outline.ts";
import type { Side } from "./servers.ts";
import type { AskStep, JoinStep, RunStep, Step, WaitStep } from "./steps.ts";

export interface Outcome {
  readonly [part: string]: unknown;
}

export interface Actor {
  act(step: Step): Promise<Outcome>;
  close(): void;
}

/** Headers that say something to clients; the rest is between an HTTP library and its peer. */
const tellingHeaders = [
  "content-type",
  "x-frame-options",
  "content-security-policy",
  "x-content-type-options",
  "referrer-policy",
  "allow",
  "location",
  "www-authenticate",
  "retry-after",
  "access-control-allow-origin",
  "content-disposition",
] as const;

export function createActor(side: Side): Actor {
  const kept = new Map<string, string>();
  const clients = new Map<string, SimClient>();

  function filled(text: string): string {
    return text.replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => {
      const value = kept.get(name);
      if (value === undefined) {
        throw new Error(`${side.name}: no step kept ${name}`);
      }
      return value;
    });
  }

  function keep(names: Readonly<Record<string, string>> | undefined, body: unknown): void {
    for (const [name, path] of Object.entries(names ?? {})) {
      const value = at(body, path);
      if (typeof value !== "string" && typeof value !== "number") {
        throw new Error(`${side.name}: nothing to keep as ${name} in ${JSON.stringify(body)}`);
      }
      kept.set(name, String(value));
    }
  }

  async function ask({ line, body, headers, authorization, keep: names }: AskStep): Promise<Outcome> {
    const [method = "", target = ""] = filled(line).split(" ", 2);
    const text = body === undefined ? undefined : filled(typeof body === "string" ? body : JSON.stringify(body));
    const credential = authorization === undefined ? `Bearer ${side.apiKey}` : authorization;
    const reply = await send(side.url, method, target, text, {
      ...(credential === null ? {} : { authorization: filled(credential) }),
      // Node leaves it out with DELETE.
      ...(text === undefined ? {} : { "content-length": String(Buffer.byteLength(text)) }),
      ...headers,
    });
    const json = reply.headers["content-type"]?.includes("json") === true ? parsed(reply.text) : undefined;
    keep(names, json);
    return {
      status: reply.status,
      headers: Object.fromEntries(
        tellingHeaders.flatMap((name) => (name in reply.headers ? [[name, reply.headers[name]]] : [])),
      ),
      body: json === undefined ? said(reply) : outline(target, json),
    };
  }

  function client(step: JoinStep | WaitStep): SimClient {
    const made = new SimClient({
      url: side.url,
      serverPublic: side.serverPublic,
      hostname: step.host,
      // The same keys on both sides.
      random: bytesFrom(step.host),
      ...(step.routes === undefined ? {} : { hostinfo: { RoutableIPs: step.routes } }),
      ...(step.do === "join" && step.ephemeral === true ? { ephemeral: true } : {}),
    });
    clients.get(step.host)?.close();
    clients.set(step.host, made);
    return made;
  }

  async function join(step: JoinStep): Promise<Outcome> {
    const { Error: error, MachineAuthorized: authorized } = await client(step).register({
      authKey: filled(step.authKey),
      ...(step.tags === undefined ? {} : { tags: step.tags }),
    });
    return { error, authorized };
  }

  async function wait(step: WaitStep): Promise<Outcome> {
    const response = await client(step).register(step.tags === undefined ? {} : { tags: step.tags });
    const url = new URL(response.AuthURL);
    kept.set(step.keep, url.pathname.split("/").at(-1) ?? "");
    return { error: response.Error, page: response.AuthURL };
  }

  async function connect(host: string, node: string): Promise<Outcome> {
    const joined = clients.get(host);
    if (joined === undefined) {
      throw new Error(`${host} has not joined`);
    }
    await joined.openMap();
    await joined.update({ endpoints: ["192.0.2.7:41641"] });
    const watch = startStopwatch();
    for (;;) {
      const { text } = await send(side.url, "GET", `/api/v1/node/${filled(node)}`, undefined, {
        authorization: `Bearer ${side.apiKey}`,
      });
      const shown = at(parsed(text), "node");
      const online = isRecord(shown) && shown["online"] === true && shown["discoKey"] === joined.discoKeyText;
      if (online) {
        return { online };
      }
      if (watch.seconds() > generousSeconds) {
        throw new Error(`${side.name}: ${host} does not come online: ${text}`);
      }
      await new Promise((resolve) => {
        setTimeout(resolve, 100);
      });
    }
  }

  async function run({ words, input, remote, keep: names }: RunStep): Promise<Outcome> {
    const said = words.map(filled);
    const { code, stdout, stderr } = await (remote === undefined ? side.run(said, input) : side.remote(said, remote));
    const json = words.includes("yaml")
      ? (parse(stdout) as unknown)
      : /^\s*[[{"]/.test(stdout)
        ? parsed(stdout)
        : undefined;
    keep(names, json ?? stdout.trim());
    // headscale's tables end in blanks and an empty line (docs/headscale.md).
    const text = stdout.replaceAll(/ +$/gm, "").trimEnd();
    return { code, stdout: json ?? text, shape: shapeOf(stdout, json), stderr };
  }

  return {
    async act(step) {
      switch (step.do) {
        case "ask":
          return ask(step);
        case "join":
          return join(step);
        case "wait":
          return wait(step);
        case "connect":
          return connect(step.host, step.node);
        case "run":
          return run(step);
      }
    },
    close() {
      for (const one of clients.values()) {
        one.close();
      }
    },
  };
}

/** What a person or a program takes from a text: a page says which commands to type, a profile which settings to make. */
function said({ headers, text }: Reply): unknown {
  const type = headers["content-type"] ?? "";
  if (type.startsWith("text/html")) {
    const commands = text.replaceAll(/<[^>]*>/g, " ").match(/auth (?:register|approve) --auth-id \S+(?: --user \w+)?/g);
    return { commands: commands ?? [] };
  }
  if (type.startsWith("application/x-apple-aspen-config")) {
    const settings = [...text.matchAll(/<key>(PayloadType|ControlURL|PayloadVersion)<\/key>\s*<\w+>([^<]*)</g)];
    return settings.map(([, name, value]) => `${name ?? ""}: ${value ?? ""}`);
  }
  // Line ends and pictures are nobody's.
  return type.startsWith("image/") ? "" : text.trimEnd();
}

/** Of an OpenAPI document, what a generator of clients makes code of. */
function outline(path: string, document: unknown): unknown {
  return path.endsWith("openapiv2.json") ? openApiOutline(document) : document;
}

/** JSON is compared as a value; its layout is part of what scripts see. */
function shapeOf(text: string, json: unknown): string {
  if (json === undefined) {
    return "text";
  }
  if (text === `${JSON.stringify(json)}\n`) {
    return "one line";
  }
  return text === `${JSON.stringify(json, null, "\t")}\n` ? "indented by tabs" : "other";
}

function bytesFrom(seed: string): (length: number) => Buffer {
  let count = 0;
  return (length) => {
    const parts: Buffer[] = [];
    for (let size = 0; size < length; size += 32) {
      count += 1;
      parts.push(createHash("sha256").update(`${seed} ${count}`).digest());
    }
    return Buffer.concat(parts).subarray(0, length);
  };
}

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

/** Not `fetch`, which mends paths and forbids methods. */
function send(
  url: URL,
  method: string,
  path: string,
  body: string | undefined,
  headers: Readonly<Record<string, string>>,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { host: url.hostname, port: url.port, method, path, headers, agent: false, timeout: generousSeconds * 1000 },
      (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("error", reject);
        response.on("end", () => {
          const all = Object.entries(response.headers).map(([name, value]) => [name, String(value)] as const);
          resolve({ status: response.statusCode ?? 0, headers: Object.fromEntries(all), text });
        });
      },
    );
    request.on("timeout", () => request.destroy(new Error(`${method} ${path} is not answered`)));
    request.on("error", reject);
    request.end(body);
  });
}
