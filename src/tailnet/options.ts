// What the outside lends to a tailnet: storage, a clock, randomness, hashing and a policy compiler. The room itself has
// none of these, so that a whole server can run under a simulated clock and replay from a seed.
import type { Prefix } from "../ip/index.ts";
import type { PolicyEngine, PolicyNode, PolicyUser } from "../policy/engine.ts";
import type { Store } from "./store.ts";

/** The hash functions secrets need; tailnet/ may not import Node's own. */
export interface SecretTools {
  /** `count` unpredictable bytes. */
  randomBytes(count: number): Uint8Array;
  /** SHA-256 of the UTF-8 text, as 64 lower-case hex digits. */
  sha256(text: string): string;
  /** Does the secret open this bcrypt hash? Slow; asked once per imported key that is in use, never for our own keys. */
  bcryptVerify(secret: string, hash: string): boolean;
}

export type CompiledPolicy =
  | { readonly ok: true; readonly engine: PolicyEngine }
  | { readonly ok: false; readonly error: string };

export interface PolicyWorld {
  readonly users: readonly PolicyUser[];
  readonly nodes: readonly PolicyNode[];
}

export interface TailnetOptions {
  readonly store: Store;
  /** Milliseconds since 1970. */
  now(): number;
  readonly secrets: SecretTools;
  /** Null: nodes get no address of that family. At least one is given. */
  readonly prefixV4: Prefix | null;
  readonly prefixV6: Prefix | null;
  readonly allocation: "sequential" | "random";
  /** How long a node key lives unless the login says otherwise, ms; null is for ever. */
  readonly defaultNodeExpiry: number | null;
  /** An ephemeral node is deleted this long after its last session, ms. */
  readonly ephemeralTimeout: number;
  /** A node is still shown online this long after its last session, ms. */
  readonly offlineGrace: number;
  /** The longest full name of a node in this domain must be a legal DNS name; "" checks the label alone. */
  readonly baseDomain: string;
  /** Reads and compiles a policy against the users and nodes as they are; the engine is then kept up to date. */
  compilePolicy(text: string, world: PolicyWorld): CompiledPolicy;
  /** The engine when no policy was ever set (or an empty one). */
  defaultPolicy(world: PolicyWorld): PolicyEngine;
  /** The engine when a policy was set but none of the stored ones compiles: lets nobody reach anything. */
  closedPolicy(world: PolicyWorld): PolicyEngine;
  /** Resolves a few milliseconds later: while many commands come, they gather for one commit. At once by default. */
  readonly linger?: () => Promise<void>;
  /** Told of what could not be used and went on without (a stored policy, a row), in plain words without secrets. */
  readonly warn?: (text: string) => void;
}
