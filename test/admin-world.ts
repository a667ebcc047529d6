// A tailnet with its admin interface, for tests: the real model over the in-memory store, the real socket, the real
// listener, the real command line. Time stands still unless a test moves it.
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createApi } from "../src/api/index.ts";
import type { Api, ApiOptions } from "../src/api/index.ts";
import { createClient } from "../src/cli/client.ts";
import type { Io } from "../src/cli/io.ts";
import { runProgram } from "../src/cli/program.ts";
import { createPending } from "../src/identity/pending.ts";
import type { Pending } from "../src/identity/pending.ts";
import { systemClock } from "../src/identity/clock.ts";
import { parsePrefix } from "../src/ip/index.ts";
import { compilePolicy, createAllowAll, formatProblems } from "../src/policy/index.ts";
import { createMemoryStore } from "../src/store/memory.ts";
import type { Actor, Tailnet } from "../src/tailnet/contract.ts";
import { policyNodeOf, policyUserOf } from "../src/tailnet/derive.ts";
import { createTailnet } from "../src/tailnet/tailnet.ts";
import type { Node } from "../src/tailnet/model.ts";
import type { Registration } from "../src/tailnet/contract.ts";
import type { UserId } from "../src/wire/ids.ts";
import { parseMachineKey, parseNodeKey } from "../src/wire/ids.ts";
import type { Hostinfo } from "../src/wire/tailcfg.ts";
import { generousSeconds } from "./patience.ts";

/** 2026-01-02 03:04:05 UTC, when every test world begins. */
export const worldStart = Date.UTC(2026, 0, 2, 3, 4, 5);
const tester: Actor = { kind: "server", id: "test", from: "" };

export interface RestAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
  /** The parsed body, when it is JSON. */
  readonly body: unknown;
}

export interface CliAnswer {
  readonly code: 0 | 1;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  /** Lines typed. */
  readonly input?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Somebody is at a terminal to answer questions. */
  readonly interactive?: boolean;
  /** Width of a terminal on stdout. */
  readonly columns?: number;
  readonly programName?: "hawser" | "headscale";
}

export interface AdminWorld {
  readonly api: Api;
  readonly clock: { ms: number };
  readonly tailnet: Tailnet;
  readonly pending: Pending;
  /** A key that may do everything. */
  readonly apiKey: string;
  readonly socketPath: string;
  readonly url: string;
  /** Joins a machine as this user's node; the number makes its keys. */
  readonly join: (user: number, number: number, hostinfo?: Hostinfo) => Promise<Node>;
  readonly registration: (number: number, hostinfo?: Hostinfo) => Registration;
  /** `key` null sends none. */
  readonly rest: (method: string, path: string, body?: unknown, key?: string | null) => Promise<RestAnswer>;
  /** Runs the command line in this process against the Unix socket; the words are split at spaces. */
  readonly cli: (words: string | readonly string[], options?: CliOptions) => Promise<CliAnswer>;
  readonly close: () => Promise<void>;
}

/** Overrides are for tests of what the world lends the interface. */
export async function createAdminWorld(overrides: Partial<ApiOptions> = {}): Promise<AdminWorld> {
  const clock = { ms: worldStart };
  const folder = mkdtempSync(join(tmpdir(), "hawser-admin-"));
  const socketPath = join(folder, "hawser.sock");
  const settings = { serverUrl: "https://control.example.com" };
  const tailnet = await createTailnet({
    store: createMemoryStore(),
    now: () => clock.ms,
    secrets: {
      randomBytes: (count) => randomBytes(count),
      sha256: (text) => createHash("sha256").update(text).digest("hex"),
      bcryptVerify: () => false,
    },
    prefixV4: parsePrefix("100.64.0.0/10") ?? null,
    prefixV6: parsePrefix("fd7a:115c:a1e0::/48") ?? null,
    allocation: "sequential",
    defaultNodeExpiry: null,
    ephemeralTimeout: 120_000,
    offlineGrace: 10_000,
    baseDomain: "example.net",
    compilePolicy: (text, world) => {
      const compiled = compilePolicy(text, { ...world, settings });
      return compiled.ok ? compiled : { ok: false, error: formatProblems(compiled.errors) };
    },
    defaultPolicy: (world) => createAllowAll(world),
    closedPolicy: (world) => createAllowAll(world),
  });
  const pending = createPending({
    clock: { ...systemClock, now: () => clock.ms },
    randomBytes: (length) => randomBytes(length),
  });
  const faults: unknown[] = [];
  const api = createApi({
    tailnet,
    pending,
    clock: { now: () => clock.ms },
    policySource: { mode: "database" },
    databaseHealthy: () => Promise.resolve(true),
    policyInput: () => ({
      users: tailnet.users().map(policyUserOf),
      nodes: tailnet.nodes().map(policyNodeOf),
      settings,
    }),
    version: "0.0.0-test",
    onFault: (fault) => {
      faults.push(fault);
    },
    ...overrides,
  });
  await api.listenLocal(socketPath, 0o600);
  const server = createServer((request, response) => {
    if (!api.handle(request, response)) {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const made = await tailnet.createApiKey(tester, { expiration: null });
  const apiKey = made.ok ? made.value.secret : "";

  function registration(
    number: number,
    hostinfo: Hostinfo = { Hostname: `host-${number}`, OS: "linux" },
  ): Registration {
    const hex = number.toString(16).padStart(2, "0").repeat(32);
    const machineKey = parseMachineKey(`mkey:${hex}`);
    const nodeKey = parseNodeKey(`nodekey:${hex}`);
    if (machineKey === undefined || nodeKey === undefined) {
      throw new Error("number out of range");
    }
    return { machineKey, nodeKey, hostinfo, capVersion: 113, ephemeral: false };
  }

  return {
    api,
    clock,
    tailnet,
    pending,
    apiKey,
    socketPath,
    url,
    registration,
    async join(user, number, hostinfo) {
      const credential = { kind: "approved", user: user as UserId, method: "cli" } as const;
      const joined = await tailnet.register(tester, registration(number, hostinfo), credential);
      if (!joined.ok) {
        throw new Error(joined.error.text);
      }
      return joined.value;
    },
    async rest(method, path, body, key = apiKey) {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: key === null ? {} : { authorization: `Bearer ${key}` },
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      const contentType = response.headers.get("content-type") ?? "";
      const parsed: unknown = contentType.startsWith("application/json") ? JSON.parse(text) : undefined;
      return { status: response.status, contentType, text, body: parsed };
    },
    async cli(words, options = {}) {
      const out = { stdout: "", stderr: "" };
      const input = [...(options.input ?? [])];
      const io: Io = {
        stdout: {
          write: (text) => {
            out.stdout += text;
          },
          isTerminal: options.columns !== undefined,
          columns: options.columns,
        },
        stderr: {
          write: (text) => {
            out.stderr += text;
          },
          isTerminal: false,
          columns: undefined,
        },
        readLine: () => Promise.resolve(input.shift()),
        isInteractive: options.interactive ?? false,
        env: options.env ?? {},
        now: () => clock.ms,
      };
      const programName = options.programName ?? "hawser";
      const client = createClient({
        place: { kind: "socket", path: socketPath },
        timeout: generousSeconds * 1000,
        programName,
      });
      const split = typeof words === "string" ? words.split(" ") : words;
      const code = await runProgram(split, { programName, io, client });
      return { code, ...out };
    },
    async close() {
      await api.close();
      await new Promise((resolve) => server.close(resolve));
      await tailnet.close();
      rmSync(folder, { recursive: true, force: true });
      const [fault] = faults;
      if (fault !== undefined) {
        throw fault;
      }
    },
  };
}
