// Policies to compare two checkers by: a small valid one, put together at random from the parts of the language, with a
// few places of it spoiled or made unusual. The same seed gives the same policies.
import type { Random } from "../../sim/simulation/random.ts";
import {
  groups,
  hosts,
  logins,
  oddDurations,
  oddLogins,
  oddNames,
  oddPorts,
  oddValues,
  protocols,
  rightPorts,
  tags,
  type Value,
} from "./words.ts";

export interface Words {
  /** Addresses of nodes that exist, of either family. */
  readonly addresses: readonly string[];
  readonly users: readonly string[];
}

export class PolicyMaker {
  readonly #random: Random;
  readonly #words: Words;

  constructor(random: Random, words: Words) {
    this.#random = random;
    this.#words = words;
  }

  #one<Item>(items: readonly Item[]): Item {
    const item = this.#random.pick(items);
    if (item === undefined) {
      throw new Error("nothing to choose from");
    }
    return item;
  }

  #some<Item>(most: number, make: () => Item): readonly Item[] {
    return Array.from({ length: 1 + this.#random.below(most) }, make);
  }

  /** A policy that both sides should take. */
  valid(): Value {
    const parts: Record<string, Value> = {
      groups: { "group:dev": ["thor@example.org", "freya@example.com"], "group:ops": ["odin@example.com"] },
      hosts: { webserver: this.#one(this.#words.addresses), internal: "10.0.0.0/8", net6: "fd7a:115c:a1e0::/64" },
      tagOwners: Object.fromEntries(tags.map((tag) => [tag, [this.#one([...groups, ...this.#words.users])]])),
    };
    const sections: Record<string, () => Value> = {
      acls: () => this.#some(3, () => this.#acl()),
      grants: () => this.#some(3, () => this.#grant()),
      ssh: () => this.#some(2, () => this.#ssh()),
      autoApprovers: () => ({
        routes: { "10.0.0.0/8": this.#some(2, () => this.#owner()) },
        exitNode: this.#some(2, () => this.#owner()),
      }),
      nodeAttrs: () => this.#some(2, () => this.#nodeAttr()),
    };
    for (const [name, make] of Object.entries(sections)) {
      if (this.#random.chance(name === "acls" || name === "grants" ? 0.6 : 0.3)) {
        parts[name] = make();
      }
    }
    return parts;
  }

  /** One with tests in it, which may fail. */
  tested(): Value {
    const policy = { ...(this.valid() as Record<string, Value>) };
    if (this.#random.chance(0.6)) {
      policy["tests"] = this.#some(1, () => this.#test());
    } else {
      policy["ssh"] = this.#some(2, () => this.#ssh());
      policy["sshTests"] = this.#some(1, () => this.#sshTest());
    }
    return policy;
  }

  /** One or two places of it changed. */
  spoiled(): Value {
    let policy = this.#random.chance(0.4) ? this.tested() : this.valid();
    const times = this.#random.chance(0.8) ? 1 : 2;
    for (let time = 0; time < times; time += 1) {
      policy = this.#spoil(policy, [], 0);
    }
    return policy;
  }

  #owner(): string {
    return this.#one([...groups, ...tags, ...this.#words.users]);
  }

  /** What may be a source and a destination. */
  #either(): readonly string[] {
    return [...tags, ...groups, ...hosts, ...this.#words.users, ...this.#words.addresses, "*"];
  }

  #source(): string {
    return this.#one([
      ...this.#either(),
      "autogroup:member",
      "autogroup:tagged",
      "10.33.0.0/16",
      "10.33.1.0/24",
      "autogroup:danger-all",
    ]);
  }

  #destination(): string {
    return this.#one([
      ...this.#either(),
      "10.33.0.0/16",
      "10.33.1.0/24",
      "192.168.1.7",
      "autogroup:member",
      "autogroup:tagged",
      "autogroup:internet",
      "10.44.0.0/16",
    ]);
  }

  #withPorts(alias: string): string {
    const ports = this.#one(rightPorts);
    return alias.includes(":") && /^[0-9a-f:]+$/.test(alias) && this.#random.chance(0.5)
      ? `[${alias}]:${ports}`
      : `${alias}:${ports}`;
  }

  #acl(): Value {
    if (this.#random.chance(0.15)) {
      const src = this.#some(2, () => this.#one(["autogroup:member", "group:dev", ...this.#words.users, "*"]));
      const other = this.#random.chance(0.5) ? [this.#withPorts(this.#destination())] : [];
      return { action: "accept", src, dst: [`autogroup:self:${this.#one(rightPorts)}`, ...other] };
    }
    const dst = this.#some(3, () => this.#withPorts(this.#destination()));
    const proto = dst.every((text) => text.endsWith(":*")) ? ["icmp", "gre", "47", "TCP"] : ["tcp", "udp", "6", "sctp"];
    return {
      action: "accept",
      src: this.#some(3, () => this.#source()),
      dst,
      ...(this.#random.chance(0.3) ? { proto: this.#one(proto) } : {}),
    };
  }

  #grant(): Value {
    const self = this.#random.chance(0.15);
    const via = !self && this.#random.chance(0.25);
    const people = ["autogroup:member", "group:dev", ...this.#words.users];
    const app = !via && this.#random.chance(0.3);
    const networks = ["10.33.0.0/16", "10.33.1.0/24", "internal", "10.44.0.0/16", "autogroup:internet", "10.99.0.0/16"];
    const destination = (): string => {
      const found = this.#destination();
      return app && found === "autogroup:internet" ? "tag:server" : found;
    };
    return {
      src: this.#some(2, () => (self ? this.#one(people) : this.#source())),
      dst: self ? ["autogroup:self"] : this.#some(2, () => (via ? this.#one(networks) : destination())),
      ...(!app || this.#random.chance(0.5) ? { ip: this.#some(3, () => this.#ipEntry()) } : {}),
      ...(app ? { app: this.#app() } : {}),
      ...(via ? { via: this.#some(2, () => this.#one(["tag:router", "tag:exit", "tag:server"])) } : {}),
    };
  }

  #ipEntry(): string {
    return this.#one(["*", "22", "80,443", "tcp:22", "udp:53", "icmp:*", "tcp:8000-8100", "6:443", "47:*", "tcp:*"]);
  }

  #app(): Value {
    const names = ["drive", "relay", "webui", "kubernetes"].map((name) => `tailscale.com/cap/${name}`);
    return Object.fromEntries(this.#some(2, () => [this.#one([...names, "example.com/cap/x"]), [{ v: 1 }]] as const));
  }

  #ssh(): Value {
    const dst = this.#one(["autogroup:self", "tag:server", "tag:prod", "autogroup:tagged", "autogroup:member"]);
    const people = ["autogroup:member", ...groups, ...this.#words.users];
    const check = this.#random.chance(0.4);
    return {
      action: check ? "check" : "accept",
      src: this.#some(2, () =>
        this.#one(dst === "autogroup:self" || dst === "autogroup:member" ? people : [...people, ...tags]),
      ),
      dst: [dst],
      users: this.#some(3, () => this.#one(logins)),
      ...(check && this.#random.chance(0.5) ? { checkPeriod: this.#one(["1h", "always", "30s", "168h"]) } : {}),
      ...(this.#random.chance(0.2) ? { acceptEnv: this.#some(2, () => this.#one(["LANG", "GIT_*", "X_?"])) } : {}),
    };
  }

  #nodeAttr(): Value {
    return {
      target: this.#some(2, () =>
        this.#one([...tags, ...groups, ...this.#words.users, ...this.#words.addresses, "*", "autogroup:member"]),
      ),
      attr: this.#some(2, () => this.#one(["randomize-client-port", "custom:x", "drive:share", "magicdns-aaaa"])),
    };
  }

  #test(): Value {
    const target = (): string => `${this.#destination()}:${this.#one(["22", "80", "443", "8001", "53", "9999"])}`;
    return {
      src: this.#one([...tags, ...groups, ...this.#words.users, ...this.#words.addresses, "webserver"]),
      ...(this.#random.chance(0.3) ? { proto: this.#one(["tcp", "udp", "sctp"]) } : {}),
      [this.#one(["accept", "deny"])]: this.#some(1, target),
    };
  }

  #sshTest(): Value {
    return {
      src: this.#one([...tags, ...groups, ...this.#words.users, this.#one(this.#words.addresses), "autogroup:member"]),
      dst: this.#some(1, () =>
        this.#one([...tags, ...this.#words.users, "webserver", this.#one(this.#words.addresses)]),
      ),
      [this.#one(["accept", "deny", "check"])]: this.#some(2, () => this.#one(["root", "ubuntu", "odin", "thor"])),
    };
  }

  /** Walks to a place and changes what is there, so that what stands there is still about what belongs there. */
  #spoil(value: Value, path: readonly string[], depth: number): Value {
    const stop = depth > 0 && this.#random.chance(0.12);
    if (Array.isArray(value) && value.length > 0 && !stop) {
      const at = this.#random.below(value.length);
      return value.map((item: Value, index) => (index === at ? this.#spoil(item, path, depth + 1) : item));
    }
    if (isObject(value) && Object.keys(value).length > 0 && !stop) {
      const names = Object.keys(value);
      // What is declared makes few differences, and everything else wrong.
      const rules = names.filter((each) => !["groups", "hosts", "tagOwners"].includes(each));
      const name = this.#one(rules.length > 0 && this.#random.chance(0.8) ? rules : names);
      return Object.fromEntries(
        Object.entries(value).map(([key, item]) => [
          key,
          key === name ? this.#spoil(item, [...path, key], depth + 1) : item,
        ]),
      );
    }
    if (isObject(value)) {
      return this.#spoilObject(value);
    }
    return typeof value === "string" ? this.#odd(value, path) : this.#one(oddValues);
  }

  #spoilObject(value: { readonly [name: string]: Value }): Value {
    const [first = ""] = Object.keys(value);
    const rest = Object.fromEntries(Object.entries(value).filter(([name]) => name !== first));
    const changes: readonly (() => Value)[] = [
      () => rest,
      () => ({
        ...rest,
        [this.#one([`${first}s`, first.toUpperCase(), `#${first}`, "", "tag:9", "group:x"])]: value[first] ?? null,
      }),
      () => ({ ...value, unknown: 1 }),
      () => this.#one(oddValues),
    ];
    return this.#one(changes)();
  }

  /** Something else that might stand where this text stands. */
  #odd(text: string, path: readonly string[]): Value {
    if (this.#random.chance(0.05)) {
      return this.#one(oddValues);
    }
    const [section] = path;
    const field = path.at(-1) ?? "";
    switch (field) {
      case "proto":
        return this.#one(protocols);
      case "ip":
        return this.#random.chance(0.5)
          ? this.#one([...oddPorts, ...protocols])
          : `${this.#one(protocols)}:${this.#one([...rightPorts, ...oddPorts])}`;
      case "action":
        return this.#one(["", "deny", "ACCEPT", "check", "accept", " accept"]);
      case "users":
        return this.#one(oddLogins);
      case "checkPeriod":
        return this.#one(oddDurations);
      case "acceptEnv":
        return this.#one(["", " ", "A=B", "*", "?", "a b", "GIT_*"]);
      case "accept":
      case "deny":
      case "check":
        if (section === "sshTests") {
          return this.#one(oddLogins);
        }
        return this.#oddTarget(text);
      case "dst":
        return section === "acls" ? this.#oddTarget(text) : this.#oddName();
      default:
        return this.#oddName();
    }
  }

  #oddName(): string {
    return this.#one([...oddNames, ...tags, ...groups, ...hosts, ...this.#words.users, ...this.#words.addresses]);
  }

  #oddTarget(text: string): string {
    const alias = text.slice(0, text.lastIndexOf(":"));
    return this.#one([
      () => `${alias}:${this.#one([...oddPorts, ...rightPorts])}`,
      () => `${this.#oddName()}:${this.#one(rightPorts)}`,
      () => this.#oddName(),
      () => `[${this.#oddName()}]:80`,
      () => `${this.#oddName()}:${this.#one(oddPorts)}`,
    ])();
  }
}

function isObject(value: Value): value is { readonly [name: string]: Value } {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}
