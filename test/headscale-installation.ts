// What a machine that ran headscale until now has on its disk: config.yaml, database, private keys. The secrets that
// people hold of it are known here; the hashes of them were made by another program's bcrypt (PostgreSQL's pgcrypto).
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { freePort } from "./free-port.ts";
import { sqliteDump } from "../src/store/takeover/headscale-029.test-data.ts";
import {
  discoKeyText,
  generatePrivateKey,
  machineKeyText,
  nodeKeyText,
  type PrivateKey,
  privateKeyText,
} from "../src/wire/keys.ts";

const apiSecret = "Kz9-legacy_secret-of-an-old-api-key-0123456789abcdefghijklmnopqr";
const apiHash = "$2a$10$/DoZ7VsFTAspUIVyDtXZgenF307D4yLnvbHQskYVcy2RHKhGapzpS";
const authSecret = "auth_secret-of-a-pre-auth-key-from-headscale-0.29-0123456789abcd";
const authHash = "$2a$10$PF9lIvMEoWCaU2TORdbvTuPqrHHVqkeMNLFNuPP.VHUsO0Y4l.FyW";

/** Keys that people have in scripts and password stores. */
export const held = {
  apiKey: `hskey-api-AbCdEfGhIjKl-${apiSecret}`,
  /** The form before 0.28. */
  oldApiKey: `abcdefg.${apiSecret}`,
  /** Reusable, of user infra, for ephemeral nodes. */
  preAuthKey: `hskey-auth-abcdefghijkl-${authSecret}`,
  /** Stored in plain text by versions before 0.28: single use, of alice, with tag:ci. */
  plainPreAuthKey: "f00df00df00df00df00df00df00df00df00df00df00df00d",
} as const;

export interface Machine {
  readonly machineKey: PrivateKey;
  readonly nodeKey: PrivateKey;
}

export interface Installation {
  readonly folder: string;
  readonly configFile: string;
  readonly database: string;
  readonly noiseKey: PrivateKey;
  readonly derpKeyFile: string;
  readonly url: string;
  readonly metricsUrl: string;
  /** Node 5, of alice. */
  readonly web: Machine;
  /** Node 9, tagged. */
  readonly ci: Machine;
}

function machine(): Machine {
  return { machineKey: generatePrivateKey(), nodeKey: generatePrivateKey() };
}

/** Files as headscale 0.29 leaves them in `folder`. */
export async function installHeadscale(folder: string): Promise<Installation> {
  const [port, metricsPort] = [await freePort(), await freePort()];
  const installation: Installation = {
    folder,
    configFile: join(folder, "etc", "config.yaml"),
    database: join(folder, "lib", "db.sqlite"),
    noiseKey: generatePrivateKey(),
    derpKeyFile: join(folder, "lib", "derp_server_private.key"),
    url: `http://127.0.0.1:${port}`,
    metricsUrl: `http://127.0.0.1:${metricsPort}`,
    web: machine(),
    ci: machine(),
  };
  for (const name of ["etc", "lib", "run"]) {
    mkdirSync(join(folder, name), { mode: 0o700 });
  }
  writeFileSync(installation.configFile, configText(folder, port, metricsPort));
  const noiseFile = join(folder, "lib", "noise_private.key");
  writeFileSync(noiseFile, privateKeyText(installation.noiseKey), { mode: 0o600 });
  writeFileSync(installation.derpKeyFile, privateKeyText(generatePrivateKey()), { mode: 0o600 });
  fillDatabase(installation);
  return installation;
}

/** In the order and with the keys of headscale's own example. */
function configText(folder: string, port: number, metricsPort: number): string {
  return `---
server_url: http://127.0.0.1:${port}
listen_addr: 127.0.0.1:${port}
metrics_listen_addr: 127.0.0.1:${metricsPort}
grpc_listen_addr: 127.0.0.1:0
grpc_allow_insecure: false
noise:
  private_key_path: ${folder}/lib/noise_private.key
prefixes:
  v4: 100.64.0.0/10
  v6: fd7a:115c:a1e0::/48
  allocation: sequential
derp:
  server:
    enabled: true
    region_id: 999
    region_code: "headscale"
    region_name: "Headscale Embedded DERP"
    verify_clients: true
    stun_listen_addr: "127.0.0.1:0"
    private_key_path: ${folder}/lib/derp_server_private.key
    automatically_add_embedded_derp_region: true
  urls: []
  paths: []
  auto_update_enabled: true
  update_frequency: 3h
disable_check_updates: false
ephemeral_node_inactivity_timeout: 30m
database:
  type: sqlite
  debug: false
  gorm:
    prepare_stmt: true
    parameterized_queries: true
    skip_err_record_not_found: true
    slow_threshold: 1000
  sqlite:
    path: ${folder}/lib/db.sqlite
    write_ahead_log: true
    wal_autocheckpoint: 1000
log:
  level: info
  format: text
policy:
  mode: database
  path: ""
dns:
  magic_dns: true
  base_domain: example.com
  override_local_dns: false
  nameservers:
    global: []
    split: {}
  search_domains: []
  extra_records: []
unix_socket: ${folder}/run/headscale.sock
unix_socket_permission: "0770"
logtail:
  enabled: false
randomize_client_port: false
`;
}

function fillDatabase({ database, web, ci }: Installation): void {
  const db = new DatabaseSync(database);
  db.exec("PRAGMA journal_mode = WAL");
  db.exec(sqliteDump);
  const keys = db.prepare("UPDATE nodes SET machine_key = ?, node_key = ?, disco_key = ?, expiry = ? WHERE id = ?");
  for (const [id, { machineKey, nodeKey }, expiry] of [
    [5, web, "2100-01-01 00:00:00+00:00"],
    [9, ci, null],
  ] as const) {
    const disco = discoKeyText(generatePrivateKey().publicRaw);
    keys.run(machineKeyText(machineKey.publicRaw), nodeKeyText(nodeKey.publicRaw), disco, expiry, id);
  }
  db.prepare("UPDATE api_keys SET hash = ?, expiration = '2100-01-01 00:00:00+00:00'").run(Buffer.from(apiHash));
  db.prepare("INSERT INTO api_keys (id, prefix, hash) VALUES (2, 'abcdefg', ?)").run(Buffer.from(apiHash));
  db.prepare("UPDATE pre_auth_keys SET hash = ?, expiration = NULL WHERE id = 3").run(Buffer.from(authHash));
  db.exec("UPDATE pre_auth_keys SET used = false WHERE id = 4");
  db.exec(
    `INSERT INTO policies (id, data) VALUES (3, '// keep me
{"tagOwners": {"tag:ci": ["alice@example.com"], "tag:build": [], "tag:secret": ["nobody@"]}, "acls": [{"action":"accept","src":["*"],"dst":["*:*"]}]}')`,
  );
  db.close();
}

/** The same data as 0.27 had it: forced tags, keys in plain text, tags that clients ask for decided at each login. */
export function turnBackTo027({ database }: Installation, requested: readonly string[]): void {
  const db = new DatabaseSync(database);
  db.exec(`
    DELETE FROM migrations; INSERT INTO migrations VALUES ('202501221827'), ('202505141324'), ('202507021200');
    DELETE FROM pre_auth_keys WHERE prefix IS NOT NULL;
    ALTER TABLE pre_auth_keys DROP COLUMN prefix; ALTER TABLE pre_auth_keys DROP COLUMN hash;
    ALTER TABLE nodes RENAME COLUMN tags TO forced_tags;
    UPDATE nodes SET auth_key_id = NULL;
    UPDATE nodes SET forced_tags = 'null' WHERE id = 5`);
  db.prepare("UPDATE nodes SET host_info = json_set(host_info, '$.RequestTags', json(?)) WHERE id = 5").run(
    JSON.stringify(requested),
  );
  db.close();
}
