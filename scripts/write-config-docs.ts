// Writes docs/configuration.md anew from the table of keys: `node scripts/write-config-docs.ts` after changing a key.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { KeySpec } from "../src/config/keys.ts";
import { allKeys, notBuilt } from "../src/config/keys.ts";
import { removedKeys, renamedKeys } from "../src/config/old-keys.ts";
import { keySections } from "../src/config/sections.ts";

export const configurationPagePath = join(import.meta.dirname, "../docs/configuration.md");

const intro = `# Configuration

<!-- Written by scripts/write-config-docs.ts from src/config/keys.ts and old-keys.ts: change those. -->

Hawser needs no configuration: without one it listens on port 8080, calls itself by the machine's address, keeps its
data in \`data/\` of the checkout (installed: \`/var/lib/hawser\`), and runs its own relay and MagicDNS. For more than a
first try, set at least \`server_url\`: it is what clients remember.

A \`config.yaml\` written for headscale is read as it is. \`hawser configtest\` says nothing when all is well, and lists
every error at once otherwise; \`hawser doctor config\` explains every key it found: what it does, what it used to be
called, what it has no effect on. \`hawser configdump\` prints what the server runs with, defaults included, as a
\`config.yaml\`; without passwords and keys unless \`--with-secrets\` asks for them.

## Where it comes from

1. \`--config FILE\`, else the file that \`HAWSER_CONFIG\` or \`HEADSCALE_CONFIG\` names. It must be there.
2. Else the first \`config.yaml\`, \`config.yml\` or \`config.json\` in \`/etc/hawser\`, \`/etc/headscale\`, \`~/.hawser\`,
   \`~/.headscale\`, the working directory.
3. Else the defaults below.

Variables beat the file, and \`HAWSER_\` beats \`HEADSCALE_\`: \`dns.base_domain\` is \`HAWSER_DNS_BASE_DOMAIN\`. Lists are
separated by white space; maps and records are JSON: \`HAWSER_DNS_NAMESERVERS_SPLIT='{"corp.example.com":["10.0.0.53"]}'\`.
An empty variable counts as not set. Keys may be in any case.

Relative paths start at the folder of the file, except those of \`unix_socket\`, \`dns.extra_records_path\` and
\`derp.paths\`, which start at the working directory. Durations are written like \`800ms\`, \`30m\`, \`3h\`; \`node.expiry\` takes
days, weeks and years too: \`180d\`.

What Hawser does not know, it says: unknown keys are warned about with their line and the likely spelling; keys that
were renamed are read as today's; keys that were removed are explained. None of these stops the server. A value that
cannot be read, or keys that contradict each other, do.

## Where defaults differ from headscale's

Values in a file mean what they mean there. Without one:

* \`server_url\`, \`database.type\`, \`noise.private_key_path\`, \`dns.base_domain\` and the prefixes have defaults.
* The embedded relay is on, unless \`derp.urls\` or \`derp.paths\` is set. Its region is 999.
* \`dns.override_local_dns\` is on only where there is a nameserver to use.
* Routers that share a route are probed every 5 s and have 4 s to answer.
* Changes reach nodes as soon as they can: \`tuning.batch_change_delay\` is 0.
* \`policy.mode\` must be \`file\` or \`database\`: headscale takes any other word as "no policy".
* \`unix_socket_permission\` is 0770.

## Keys
`;

function escape(text: string): string {
  return text.replaceAll("|", "\\|");
}

function row({ key, reader, fallbackText, doc, noEffect, secret }: KeySpec<unknown>): string {
  const yet = notBuilt.has(key) ? "*Not built yet.* " : "";
  const meaning = noEffect ? `Accepted, no effect. ${doc}` : `${yet}${doc}${secret ? " Never shown." : ""}`;
  return `| \`${key}\` | ${escape(reader.type)} | ${escape(fallbackText)} | ${escape(meaning)} |`;
}

/** The whole page. */
export function configurationPage(): string {
  const sections = keySections(allKeys).map(({ title, specs }) => {
    const rows = specs.map(row);
    return `\n### ${title}\n\n| key | value | default | meaning |\n|---|---|---|---|\n${rows.join("\n")}\n`;
  });
  const renamed = renamedKeys.map(
    ({ old, today, note }) =>
      `| \`${old}\` | ${today.replace(/[\w.]+\.[\w.]+/g, "`$&`")}${note === "" ? "" : ` (${note})`} |`,
  );
  const removed = removedKeys.map(({ key, reason }) => `| \`${key}\` | ${escape(reason)} |`);
  return `${intro}${sections.join("")}
## Old spellings

Read as today's key, with a warning. \`\${VAR}\` inside a value is replaced from the environment, with a warning too.

| in the file | today |
|---|---|
${renamed.join("\n")}

## Keys without effect

| in the file | why |
|---|---|
${removed.join("\n")}
`;
}

if (import.meta.main) {
  writeFileSync(configurationPagePath, configurationPage());
}
