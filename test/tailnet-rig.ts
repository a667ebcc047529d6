// What the tests of this room share: a tailnet over the in-memory store with a clock that stands still, seeded
// randomness and a small policy that can be told what to permit.
import { createHash } from "node:crypto";
import { type Addr, formatAddr, parsePrefix, type Prefix } from "../src/ip/index.ts";
import { createAllowAll } from "../src/policy/allow-all.ts";
import type { PolicyChange, PolicyEngine } from "../src/policy/engine.ts";
import { createMemoryStore, MemoryDisk, type MemoryStore, type MemoryStoreOptions } from "../src/store/memory.ts";
import { type MachineKey, type NodeKey, parseMachineKey, parseNodeKey } from "../src/wire/ids.ts";
import type { Hostinfo } from "../src/wire/tailcfg.ts";
import type { Actor, Registration, Result, Tailnet } from "../src/tailnet/contract.ts";
import type { Change, User } from "../src/tailnet/model.ts";
import type { PolicyWorld, SecretTools, TailnetOptions } from "../src/tailnet/options.ts";
import type { Store } from "../src/tailnet/store.ts";
import { createTailnet } from "../src/tailnet/tailnet.ts";

export const admin: Actor = { kind: "cli", id: "root", from: "" };

export function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) {
    throw new Error(`not a prefix: ${text}`);
  }
  return parsed;
}

export function seededSecrets(seed: number): SecretTools {
  let state = seed >>> 0 || 1;
  return {
    randomBytes: (count) =>
      Uint8Array.from({ length: count }, () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return state >>> 24;
      }),
    sha256: (text) => createHash("sha256").update(text).digest("hex"),
    bcryptVerify: (secret, hash) => hash === `bcrypt(${secret})`,
  };
}

/** Line by line: `auto 10.0.0.0/8` approves, `tag tag:x` lets everybody use the tag, `pool 100.80.0.0/16`; else an error. */
export function linePolicy(
  text: string,
  world: PolicyWorld,
): { ok: true; engine: TestEngine } | { ok: false; error: string } {
  const auto: Prefix[] = [];
  const pools: Prefix[] = [];
  const tags = new Set<string>();
  for (const line of text.split("\n").filter((line) => line !== "")) {
    const [verb, argument = ""] = line.split(" ");
    if (verb === "auto") {
      auto.push(prefix(argument));
    } else if (verb === "pool") {
      pools.push(prefix(argument));
    } else if (verb === "tag") {
      tags.add(argument);
    } else {
      return { ok: false, error: `unknown: ${line}` };
    }
  }
  const applied: PolicyChange[] = [];
  const engine: TestEngine = {
    ...createAllowAll(world),
    applied,
    world,
    apply: (changes) => {
      applied.push(...changes);
      return { everything: false, nodes: [], peers: [] };
    },
    autoApproved: (_node, advertised) =>
      advertised.filter((route) => auto.some((rule) => formatAddr(rule.addr) === formatAddr(route.addr))),
    mayTag: (_owner, tag) => tags.has(tag),
    tagExists: (tag) => tags.has(tag),
    ipPools: () => pools,
  };
  return { ok: true, engine };
}
export interface TestEngine extends PolicyEngine {
  readonly applied: readonly PolicyChange[];
  readonly world: PolicyWorld;
}

export interface Rig {
  readonly tailnet: Tailnet;
  readonly store: MemoryStore;
  readonly disk: MemoryDisk;
  readonly warnings: string[];
  readonly batches: { version: number; changes: readonly Change[] }[];
  now: number;
  commits: number;
  /** A new tailnet over the same disk. */
  restart(): Promise<Rig>;
}

export type RigOptions = Partial<Omit<TailnetOptions, "store">> & {
  readonly disk?: MemoryDisk;
  readonly store?: MemoryStoreOptions;
  readonly at?: number;
  readonly wrapStore?: (store: Store) => Store;
};

export async function rig(options: RigOptions = {}): Promise<Rig> {
  const {
    disk = new MemoryDisk(),
    store: storeOptions = {},
    at = Date.UTC(2026, 0, 1),
    wrapStore = (store: Store) => store,
    ...given
  } = options;
  const memory = createMemoryStore(storeOptions, disk);
  const made: { value?: Rig } = {};
  const clock = { now: at };
  const counted: MemoryStore = {
    ...memory,
    commit: (groups) => {
      if (made.value !== undefined) {
        made.value.commits++;
      }
      return memory.commit(groups);
    },
  };
  const warnings: string[] = [];
  const tailnet = await createTailnet({
    store: wrapStore(counted),
    now: () => clock.now,
    secrets: seededSecrets(disk.sequence + 7),
    prefixV4: prefix("100.64.0.0/10"),
    prefixV6: prefix("fd7a:115c:a1e0::/48"),
    allocation: "sequential",
    defaultNodeExpiry: null,
    ephemeralTimeout: 60_000,
    offlineGrace: 10_000,
    baseDomain: "example.net",
    compilePolicy: linePolicy,
    defaultPolicy: (world) => createAllowAll(world),
    closedPolicy: (world) => createAllowAll(world),
    warn: (text) => warnings.push(text),
    ...given,
  });
  const batches: Rig["batches"] = [];
  tailnet.subscribe(({ version, changes }) => batches.push({ version, changes }));
  const value: Rig = {
    tailnet,
    store: counted,
    disk,
    warnings,
    batches,
    commits: 0,
    get now() {
      return clock.now;
    },
    set now(to) {
      clock.now = to;
    },
    restart: () => rig({ ...options, disk, at: clock.now }),
  };
  made.value = value;
  return value;
}

export function must<Value>(result: Result<Value>): Value {
  if (!result.ok) {
    throw new Error(`refused: ${result.error.code} ${result.error.text}`);
  }
  return result.value;
}

/** Lets all that is under way over the in-memory store come to rest. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

export function errorOf(result: Result<unknown>): string {
  return result.ok ? "no error" : result.error.text;
}

export function defined<Value>(value: Value | undefined | null): Value {
  if (value === undefined || value === null) {
    throw new Error("nothing there");
  }
  return value;
}

function hex(number: number): string {
  return number.toString(16).padStart(64, "0");
}
export function machineKey(number: number): MachineKey {
  return defined(parseMachineKey(`mkey:${hex(number)}`));
}
export function nodeKey(number: number): NodeKey {
  return defined(parseNodeKey(`nodekey:${hex(number)}`));
}

export function registration(
  machine: number,
  key: number,
  more: Partial<Registration> & { readonly host?: Hostinfo } = {},
): Registration {
  const { host, ...rest } = more;
  return {
    machineKey: machineKey(machine),
    nodeKey: nodeKey(key),
    hostinfo: { Hostname: `host${machine}`, OS: "linux", ...host },
    capVersion: 113,
    ephemeral: false,
    ...rest,
  };
}

export async function makeUser(tailnet: Tailnet, name: string): Promise<User> {
  return must(await tailnet.createUser(admin, { name }));
}

export async function makeKey(
  tailnet: Tailnet,
  more: Partial<Parameters<Tailnet["createPreAuthKey"]>[1]>,
): Promise<{ readonly kind: "auth-key"; readonly secret: string; readonly id: number }> {
  const { key, secret } = must(
    await tailnet.createPreAuthKey(admin, {
      user: null,
      reusable: true,
      ephemeral: false,
      tags: [],
      expiration: null,
      ...more,
    }),
  );
  return { kind: "auth-key", secret, id: key.id };
}

export function addrText(addr: Addr | null): string {
  return addr === null ? "" : formatAddr(addr);
}
