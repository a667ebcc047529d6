// Every command, alias and flag (headscale reference §2.2, with the older spellings of §8.1). Data only: what a command
// does is imported when it runs.
import type { Group, Leaf } from "./command.ts";
import { identifier, leaf, ownerName, policyFile } from "./command-parts.ts";
import { apiKeyCommands, auditCommands, policyCommands } from "./commands-access.ts";
import { authCommands, nodeCommands, preAuthKeyCommands, userCommands } from "./commands-devices.ts";

const nodes = () => import("./commands/nodes.ts");
const auth = () => import("./commands/auth.ts");
const policy = () => import("./commands/policy.ts");
const server = () => import("./commands/server.ts");
const configuration = () => import("./commands/configuration.ts");
const database = () => import("./commands/database.ts");
const takeover = () => import("./commands/takeover.ts");

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
