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
          { name: "route", short: "r", type: "list", about: "routes it advertises", value: "PREFIXES" },
        ],
        examples: ["debug create-node --name test --user alice --key hskey-authreq-…"],
      },
    ),
  ],
};

const generateCommands: Group = {
  kind: "group",
  name: "generate",
  aliases: ["gen"],
  summary: "Make private keys",
  children: [leaf("private-key", "Make a private key", async (run) => (await server()).generatePrivateKey(run))],
};

const completionExamples = {
  bash: ["completion bash > ~/.local/share/bash-completion/completions/hawser"],
  zsh: ["completion zsh > ~/.zfunc/_hawser"],
  fish: ["completion fish > ~/.config/fish/completions/hawser.fish"],
  powershell: ["completion powershell >> $PROFILE"],
} as const;

const completionCommands: Group = {
  kind: "group",
  name: "completion",
  summary: "Completion for your shell",
  children: (["bash", "zsh", "fish", "powershell"] as const).map((shell) =>
    leaf(
      shell,
      `Print the completion script for ${shell}`,
      async (run) => {
        const { completionScript } = await import("./completion.ts");
        run.io.stdout.write(completionScript(shell, run.programName));
      },
      { about: "The first lines of the script say where to put it.", examples: completionExamples[shell] },
    ),
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

const mockOidcCommand = leaf(
  "mockoidc",
  "Run an OpenID Connect provider for tests of logins",
  async (run) => (await import("./commands/mockoidc.ts")).mockOidc(run),
  {
    about: `It lets everybody in who reaches it: for tests only. The environment says how:

  MOCKOIDC_CLIENT_ID      what the server under test has as oidc.client_id
  MOCKOIDC_CLIENT_SECRET  and as oidc.client_secret
  MOCKOIDC_ADDR           address to listen on
  MOCKOIDC_PORT           its port; the issuer is http://ADDR:PORT/oidc
  MOCKOIDC_USERS          who logs in, one after the other: a JSON array of
                          users with Subject, Email, EmailVerified,
                          PreferredUsername, Name and Groups
  MOCKOIDC_ACCESS_TTL     how long its tokens are good (default 2m)`,
    examples: ["mockoidc"],
  },
);

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
            value: "DATABASE",
            about: "sqlite:FILE or postgres://USER:PASSWORD@HOST/NAME",
            fallback: "the configured one",
          },
          {
            name: "to",
            type: "string",
            value: "DATABASE",
            about: "sqlite:FILE or postgres://USER:PASSWORD@HOST/NAME",
            required: true,
          },
        ],
        examples: [
          "db copy --to sqlite:/var/lib/hawser/new.sqlite",
          "db copy --to postgres://hawser@db.example.com/hawser",
        ],
      },
    ),
  ],
};

/** Words that other guides use, and that never were or no longer are commands. */
const olderCommands: readonly (Leaf | Group)[] = [
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
    leaf("serve", "Run the server", async (run) => (await import("./commands/serve.ts")).serve(run), {
      about:
        "It runs until SIGTERM or SIGINT; SIGHUP reads the policy file again. Without a configuration file the defaults hold.",
      examples: ["serve", "serve --config /etc/hawser/config.yaml"],
    }),
    userCommands,
    nodeCommands,
    preAuthKeyCommands,
    authCommands,
    policyCommands,
    apiKeyCommands,
    auditCommands,
    leaf("health", "Ask the server whether it is well", async (run) => (await server()).health(run)),
    leaf("configtest", "Check the configuration", async (run) => (await configuration()).configTest(run)),
    leaf(
      "configdump",
      "Print the configuration that the server runs with",
      async (run) => (await configuration()).configDump(run),
      {
        about:
          "File, environment and defaults together, as a config.yaml that can be saved and used again.\nPasswords and keys are left out, and said to be.",
        flags: [{ name: "with-secrets", type: "bool", about: "passwords and keys too" }],
        examples: ["configdump > config.yaml"],
        aliases: ["dumpConfig"],
      },
    ),
    doctorCommands,
    databaseCommands,
    leaf(
      "takeover",
      "Take headscale's database over, or give it back",
      async (run) => (await takeover()).takeover(run),
      {
        flags: [
          { name: "dry-run", type: "bool", about: "only report what would be done" },
          { name: "undo", type: "bool", about: "put headscale's database back" },
        ],
        about: "The server does it at its first start; headscale's data is kept, for --undo.",
        examples: ["takeover --dry-run", "takeover --undo"],
      },
    ),
    generateCommands,
    mockOidcCommand,
    debugCommands,
    completionCommands,
    leaf("version", "Print the version", async (run) => (await server()).version(run)),
    ...olderCommands,
  ],
};
