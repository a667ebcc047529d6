// Every command, alias and flag (headscale reference §2.2, with the older spellings of §8.1). Data only: what a command
// does is imported when it runs.
import type { FlagSpec, Group, Leaf } from "./command.ts";

type Settings = Omit<Leaf, "kind" | "name" | "summary" | "run">;

function leaf(name: string, summary: string, run: Leaf["run"], settings: Settings = {}): Leaf {
  return { kind: "leaf", name, summary, run, ...settings };
}

const users = () => import("./commands/users.ts");
const keys = () => import("./commands/keys.ts");
const nodes = () => import("./commands/nodes.ts");
const auth = () => import("./commands/auth.ts");
const policy = () => import("./commands/policy.ts");
const policyQuestions = () => import("./commands/policy-questions.ts");
const server = () => import("./commands/server.ts");
const configuration = () => import("./commands/configuration.ts");
const database = () => import("./commands/database.ts");
const audit = () => import("./commands/audit.ts");
const takeover = () => import("./commands/takeover.ts");

const identifier: FlagSpec = {
  name: "identifier",
  short: "i",
  type: "string",
  about: "node: its id, or its name",
  required: true,
};
const ownerName: FlagSpec = { name: "user", short: "u", type: "string", about: "name of the user" };
const oldOwner: FlagSpec = { name: "namespace", type: "string", about: "older name of --user", hidden: true };
const keyId: FlagSpec = { name: "id", short: "i", type: "uint", about: "id of the key" };
const userChoice: readonly FlagSpec[] = [
  { name: "identifier", short: "i", type: "int", about: "id of the user", fallback: "-1" },
  { name: "name", short: "n", type: "string", about: "name of the user" },
];

const userCommands: Group = {
  kind: "group",
  name: "users",
  aliases: ["user"],
  formerNames: ["namespace", "namespaces", "ns"],
  summary: "The people who own devices",
  children: [
    leaf("create", "Create a user", async (run) => (await users()).createUser(run), {
      aliases: ["c", "new"],
      operands: "NAME",
      flags: [
        { name: "display-name", short: "d", type: "string", about: "name to show" },
        { name: "email", short: "e", type: "string", about: "e-mail address" },
        { name: "picture-url", short: "p", type: "string", about: "URL of a picture" },
      ],
      examples: ["users create alice --display-name Alice"],
    }),
    leaf("list", "List users", async (run) => (await users()).listUsers(run), {
      aliases: ["ls", "show"],
      flags: [...userChoice, { name: "email", short: "e", type: "string", about: "e-mail address" }],
    }),
    leaf("rename", "Rename a user", async (run) => (await users()).renameUser(run), {
      aliases: ["mv"],
      flags: [...userChoice, { name: "new-name", short: "r", type: "string", about: "the new name (required)" }],
      examples: ["users rename --name alice --new-name alison"],
    }),
    leaf("role", "Set what a user may do on this server", async (run) => (await users()).setUserRole(run), {
      flags: [
        ...userChoice,
        {
          name: "role",
          type: "string",
          about: "owner, admin, it-admin, network-admin, billing-admin, auditor or member",
          required: true,
        },
      ],
      examples: ["users role --name alice --role admin"],
    }),
    leaf("destroy", "Delete a user who owns no nodes", async (run) => (await users()).destroyUser(run), {
      aliases: ["delete"],
      flags: userChoice,
    }),
  ],
};

const nodeCommands: Group = {
  kind: "group",
  name: "nodes",
  aliases: ["node"],
  formerNames: ["machine", "machines"],
  summary: "The devices",
  children: [
    leaf("list", "List nodes, or show one", async (run) => (await nodes()).listNodes(run), {
      aliases: ["ls", "show", "info"],
      operands: "[NODE]",
      flags: [{ ...ownerName, about: "only nodes of this user" }, oldOwner, { ...identifier, required: false }],
      examples: ["nodes list --user alice", "nodes show web-1"],
    }),
    leaf(
      "register",
      "Let a waiting machine join (older form of auth register)",
      async (run) => (await auth()).registerNode(run),
      {
        flags: [
          { ...ownerName, required: true },
          { name: "key", short: "k", type: "string", about: "auth id from the client's link", required: true },
        ],
      },
    ),
    leaf("rename", "Give a node another name", async (run) => (await nodes()).renameNode(run), {
      operands: "NEW_NAME",
      flags: [identifier],
      examples: ["nodes rename --identifier 3 web-1"],
    }),
    leaf("tag", "Set the tags of a node", async (run) => (await nodes()).tagNode(run), {
      aliases: ["tags", "t"],
      flags: [identifier, { name: "tags", short: "t", type: "list", about: "tags, separated by commas" }],
      examples: ["nodes tag --identifier 3 --tags tag:web,tag:prod"],
    }),
    leaf("expire", "Set or remove the end of a node's key", async (run) => (await nodes()).expireNode(run), {
      aliases: ["logout", "exp", "e"],
      flags: [
        identifier,
        { name: "expiry", short: "e", type: "string", about: "when, as RFC 3339 or a duration", fallback: "now" },
        { name: "disable", short: "d", type: "bool", about: "the key never ends" },
      ],
    }),
    leaf("move", "Give a node to another user", async (run) => (await nodes()).moveNode(run), {
      flags: [identifier, { ...ownerName, about: "the new owner: id or name", required: true }],
      examples: ["nodes move --identifier 3 --user alice"],
    }),
    leaf("set-addresses", "Give a node other addresses", async (run) => (await nodes()).setAddresses(run), {
      flags: [
        identifier,
        { name: "ipv4", type: "string", about: "the IPv4 address" },
        { name: "ipv6", type: "string", about: "the IPv6 address" },
      ],
    }),
    leaf("approve-routes", "Set the approved routes of a node", async (run) => (await nodes()).approveRoutes(run), {
      flags: [
        identifier,
        { name: "routes", short: "r", type: "list", about: "prefixes, separated by commas; none removes all" },
      ],
      examples: ["nodes approve-routes --identifier 3 --routes 10.0.0.0/24,0.0.0.0/0"],
    }),
    leaf("list-routes", "List the routes of nodes", async (run) => (await nodes()).listRoutes(run), {
      aliases: ["lsr", "routes"],
      flags: [
        { ...identifier, required: false },
        { name: "route", type: "list", about: "older form of approve-routes", hidden: true },
        { name: "routes", short: "r", type: "list", about: "older form of approve-routes", hidden: true },
      ],
    }),
    leaf("backfillips", "Give nodes the addresses the prefixes call for", async (run) =>
      (await nodes()).backfillIps(run),
    ),
    leaf("delete", "Delete a node", async (run) => (await nodes()).deleteNode(run), {
      aliases: ["del"],
      flags: [identifier],
    }),
  ],
};

const preAuthKeyCommands: Group = {
  kind: "group",
  name: "preauthkeys",
  aliases: ["preauthkey", "authkey", "pre"],
  summary: "Keys that devices join with",
  children: [
    leaf("create", "Create a key", async (run) => (await keys()).createPreAuthKey(run), {
      aliases: ["c", "new"],
      flags: [
        { name: "user", short: "u", type: "string", about: "id of the owner", fallback: "0" },
        { name: "reusable", type: "bool", about: "for more than one device" },
        { name: "ephemeral", type: "bool", about: "devices are deleted when they have gone" },
        {
          name: "expiration",
          short: "e",
          type: "string",
          about: "how long it is good: 30m, 24h, 90d, never",
          fallback: "1h",
        },
        { name: "tags", type: "list", about: "tags the devices get" },
      ],
      examples: ["preauthkeys create --user 1 --reusable --expiration 24h", "preauthkeys create --tags tag:server"],
    }),
    leaf("list", "List keys", async (run) => (await keys()).listPreAuthKeys(run), {
      aliases: ["ls", "show"],
      flags: [{ ...ownerName, hidden: true }],
    }),
    leaf("expire", "End a key now", async (run) => (await keys()).expirePreAuthKey(run), {
      aliases: ["revoke", "exp", "e"],
      flags: [keyId, { ...ownerName, hidden: true }],
    }),
    leaf("delete", "Delete a key", async (run) => (await keys()).deletePreAuthKey(run), {
      aliases: ["del", "rm", "d"],
      flags: [keyId],
    }),
  ],
};

const apiKeyChoice: readonly FlagSpec[] = [
  keyId,
  { name: "prefix", short: "p", type: "string", about: "prefix of the key" },
];

const apiKeyCommands: Group = {
  kind: "group",
  name: "apikeys",
  aliases: ["apikey", "api"],
  summary: "Keys for programs that manage the server",
  children: [
    leaf("create", "Create a key", async (run) => (await keys()).createApiKey(run), {
      aliases: ["c", "new"],
      flags: [
        {
          name: "expiration",
          short: "e",
          type: "string",
          about: "how long it is good: 30m, 24h, 90d, never",
          fallback: "90d",
        },
        { name: "description", type: "string", about: "what it is for" },
        { name: "scopes", type: "list", about: "read, write, or nodes:read, users:write, …; none is everything" },
        { name: "reusable", type: "bool", about: "does nothing", hidden: true },
        { name: "ephemeral", type: "bool", about: "does nothing", hidden: true },
      ],
    }),
    leaf("list", "List keys", async (run) => (await keys()).listApiKeys(run), { aliases: ["ls", "show"] }),
    leaf("expire", "End a key now", async (run) => (await keys()).expireApiKey(run), {
      aliases: ["revoke", "exp", "e"],
      flags: apiKeyChoice,
    }),
    leaf("delete", "Delete a key", async (run) => (await keys()).deleteApiKey(run), {
      aliases: ["remove", "del"],
      flags: apiKeyChoice,
    }),
  ],
};

const authId: FlagSpec = { name: "auth-id", type: "string", about: "id from the link, or the link", required: true };

const authCommands: Group = {
  kind: "group",
  name: "auth",
  summary: "Who waits to join or to open an SSH session",
  children: [
    leaf("register", "Let a waiting machine join as a user's node", async (run) => (await auth()).registerAuth(run), {
      flags: [{ ...ownerName, required: true }, authId],
      examples: ["auth register --user alice --auth-id hskey-authreq-…"],
    }),
    leaf("list", "Who waits", async (run) => (await auth()).listWaiting(run), { aliases: ["ls", "show"] }),
    leaf("approve", "Approve a waiting SSH session", async (run) => (await auth()).approveAuth(run), {
      flags: [authId],
    }),
    leaf("reject", "Reject who waits", async (run) => (await auth()).rejectAuth(run), { flags: [authId] }),
  ],
};

const policyFile: FlagSpec = {
  name: "file",
  short: "f",
  type: "string",
  about: "policy file in HuJSON",
  required: true,
};
const bypass: FlagSpec = {
  name: "bypass-grpc-and-access-database-directly",
  type: "bool",
  about: "work on the database of a server that does not run",
};

const policyCommands: Group = {
  kind: "group",
  name: "policy",
  summary: "Who may reach what",
  children: [
    leaf("get", "Print the policy", async (run) => (await policy()).getPolicy(run), {
      aliases: ["show", "view", "fetch"],
      flags: [bypass],
    }),
    leaf("set", "Replace the policy", async (run) => (await policy()).setPolicy(run), {
      aliases: ["put", "update"],
      flags: [policyFile, bypass],
    }),
    leaf("check", "Check a policy and run its tests", async (run) => (await policy()).checkPolicy(run), {
      flags: [policyFile, bypass],
    }),
    leaf(
      "mode",
      "Print where the policy lives: file or database",
      async (run) => (await configuration()).policyMode(run),
      { hidden: true },
    ),
    leaf(
      "test",
      "Run the tests of the policy in force, or of a file",
      async (run) => (await policy()).testPolicy(run),
      {
        flags: [{ ...policyFile, required: false }],
      },
    ),
    leaf(
      "explain",
      "Say whether one may reach the other, and why",
      async (run) => (await policyQuestions()).explainPolicy(run),
      {
        operands: "SOURCE DESTINATION[:PORT]",
        about: "Both may be a node's name or id, an address, a user, a group or a tag.",
        flags: [
          { name: "src", type: "string", about: "in place of the first word" },
          { name: "dst", type: "string", about: "in place of the second word" },
          { name: "proto", type: "string", about: "protocol: tcp, udp, icmp or a number", fallback: "any" },
          { name: "ssh", type: "string", about: "ask for SSH as this user, too" },
          { ...policyFile, about: "ask a draft instead of the policy in force", required: false },
        ],
        examples: ["policy explain alice@example.com db-1:5432", "policy explain laptop db-1 --ssh root"],
      },
    ),
    leaf(
      "preview",
      "Say what putting a file in force would change",
      async (run) => (await policyQuestions()).previewPolicy(run),
      { operands: "FILE", flags: [{ ...policyFile, required: false }] },
    ),
    leaf("history", "List earlier policies, or print one", async (run) => (await policy()).policyHistory(run), {
      operands: "[ID]",
    }),
    leaf("rollback", "Put an earlier policy in force again", async (run) => (await policy()).rollbackPolicy(run), {
      operands: "ID",
    }),
    leaf("fmt", "Lay a policy out evenly; comments stay", async (run) => (await policy()).formatPolicy(run), {
      aliases: ["format"],
      operands: "[FILE]",
      flags: [
        { ...policyFile, required: false },
        { name: "write", short: "w", type: "bool", about: "change the file itself" },
      ],
    }),
  ],
};

const auditCommands: Group = {
  kind: "group",
  name: "audit",
  summary: "Who changed what",
  children: [
    leaf("list", "The latest changes", async (run) => (await audit()).listAudit(run), {
      aliases: ["ls", "show"],
      flags: [{ name: "limit", short: "n", type: "uint", about: "how many, at most 1000", fallback: "50" }],
    }),
    leaf(
      "verify",
      "Tell whether entries were changed, removed or added past the server",
      async (run) => (await audit()).verifyAudit(run),
      {
        flags: [
          { name: "noted", type: "string", about: "a hash that an earlier verify printed: the log must hold it" },
          { name: "file", short: "f", type: "string", about: "an exported log, instead of the server's" },
        ],
        examples: ["audit verify", "audit verify --file audit.jsonl"],
      },
    ),
    leaf(
      "export",
      "All changes, oldest first, one JSON object a line",
      async (run) => (await audit()).exportAudit(run),
      {
        flags: [{ name: "after", type: "uint", about: "only entries with a higher id" }],
        examples: ["audit export > audit.jsonl"],
      },
    ),
  ],
};

const debugCommands: Group = {
  kind: "group",
  name: "debug",
  summary: "For testing",
  children: [
    leaf(
      "create-node",
      "Queue a made-up machine as if it asked to join",
      async (run) => (await auth()).debugCreateNode(run),
      {
        flags: [
          { name: "name", type: "string", about: "hostname", required: true },
          { ...ownerName, required: true },
          { name: "key", short: "k", type: "string", about: "auth id for it", required: true },
          { name: "route", short: "r", type: "list", about: "routes it advertises" },
        ],
      },
    ),
  ],
};

const generateCommands: Group = {
  kind: "group",
  name: "generate",
  aliases: ["gen"],
  summary: "Make things",
  children: [leaf("private-key", "Make a private key", async (run) => (await server()).generatePrivateKey(run))],
};

const completionCommands: Group = {
  kind: "group",
  name: "completion",
  summary: "Completion for your shell",
  children: (["bash", "zsh", "fish", "powershell"] as const).map((shell) =>
    leaf(shell, `Print the completion script for ${shell}`, async (run) => {
      const { completionScript } = await import("./completion.ts");
      run.io.stdout.write(completionScript(shell, commandTree, run.programName));
    }),
  ),
};

const doctorCommands: Group = {
  kind: "group",
  name: "doctor",
  summary: "Find out what is wrong",
  children: [
    leaf("config", "Explain every key of the configuration", async (run) => (await configuration()).doctorConfig(run)),
  ],
};

const databaseCommands: Group = {
  kind: "group",
  name: "db",
  summary: "The server's database",
  children: [
    leaf(
      "copy",
      "Copy everything into an empty database, on SQLite or PostgreSQL",
      async (run) => (await database()).copyDatabase(run),
      {
        flags: [
          {
            name: "from",
            type: "string",
            about: "sqlite:FILE or postgres://USER:PASSWORD@HOST/NAME; the configured one if left out",
          },
          { name: "to", type: "string", about: "sqlite:FILE or postgres://USER:PASSWORD@HOST/NAME", required: true },
        ],
        examples: ["db copy --to postgres://hawser@db.example.com/hawser"],
      },
    ),
  ],
};

/** Words that other guides use, and that never were or no longer are commands. */
const olderCommands: readonly (Leaf | Group)[] = [
  leaf(
    "configdump",
    "Older form of doctor config",
    async (run) => {
      run.note("note: today's spelling is: doctor config");
      await (await configuration()).doctorConfig(run);
    },
    { aliases: ["dumpConfig"], hidden: true },
  ),
  {
    kind: "group",
    name: "acl",
    hidden: true,
    summary: "Older name of policy",
    children: [
      leaf(
        "validate",
        "Older name of policy check",
        async (run) => {
          run.note("note: today's spelling is: policy check --file FILE");
          await (await policy()).checkPolicy(run);
        },
        { aliases: ["check", "test"], flags: [policyFile] },
      ),
    ],
  },
  leaf(
    "routes",
    "Older form of nodes list-routes",
    async (run) => {
      run.note("note: today's spelling is: nodes list-routes");
      await (await nodes()).listRoutes(run);
    },
    {
      aliases: ["route"],
      hidden: true,
      operands: "list|enable|disable",
      flags: [
        { ...identifier, required: false },
        { name: "route", short: "r", type: "list", about: "prefix" },
      ],
    },
  ),
];

export const commandTree: Group = {
  kind: "group",
  name: "",
  summary: "A self-hosted control plane for Tailscale clients",
  children: [
    leaf("serve", "Run the server", async (run) => (await import("./commands/serve.ts")).serve(run)),
    userCommands,
    nodeCommands,
    preAuthKeyCommands,
    authCommands,
    policyCommands,
    apiKeyCommands,
    auditCommands,
    leaf("health", "Ask the server whether it is well", async (run) => (await server()).health(run)),
    leaf("configtest", "Check the configuration", async (run) => (await configuration()).configTest(run)),
    doctorCommands,
    databaseCommands,
    leaf(
      "takeover",
      "Take over headscale's database (the server does it at its first start)",
      async (run) => (await takeover()).takeover(run),
      {
        flags: [
          { name: "dry-run", type: "bool", about: "only report what would be done" },
          { name: "undo", type: "bool", about: "put headscale's database back" },
        ],
        examples: ["takeover --dry-run", "takeover --undo"],
      },
    ),
    generateCommands,
    debugCommands,
    completionCommands,
    leaf("version", "Print the version", async (run) => (await server()).version(run)),
    ...olderCommands,
  ],
};
