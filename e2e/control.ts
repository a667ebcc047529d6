// The server under test: `bin/hawser serve` on a host, with the command line beside it, and an nginx that terminates
// TLS with a certificate signed by nobody but itself.
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generousSeconds } from "../test/patience.ts";
import { until } from "./netns.ts";
import type { CommandResult, Host, RunOptions, RunningProgram } from "./netns.ts";

export const hawser = join(import.meta.dirname, "..", "bin", "hawser");

export interface ControlOptions {
  readonly serverUrl: string;
  /** Lines of YAML added to the configuration. */
  readonly extra?: string;
}

export class Control {
  readonly host: Host;
  readonly configFile: string;
  server: RunningProgram | undefined;

  constructor(host: Host, options: ControlOptions) {
    this.host = host;
    this.configFile = join(host.folder, "config.yaml");
    writeFileSync(
      this.configFile,
      `server_url: ${options.serverUrl}
listen_addr: 0.0.0.0:8080
metrics_listen_addr: 127.0.0.1:9090
data_dir: ${host.folder}/data
noise: { private_key_path: ${host.folder}/noise_private.key }
prefixes: { v4: 100.64.0.0/10, v6: fd7a:115c:a1e0::/48 }
database: { type: sqlite, sqlite: { path: ${host.folder}/db.sqlite } }
unix_socket: ${host.folder}/hawser.sock
derp:
  server:
    enabled: true
    region_id: 999
    stun_listen_addr: 0.0.0.0:3478
    private_key_path: ${host.folder}/derp_private.key
  urls: []
dns: { magic_dns: true, base_domain: acme.internal, override_local_dns: false }
${options.extra ?? ""}
`,
    );
  }

  /** Starts the server and waits until it is healthy. */
  async start(): Promise<void> {
    this.server = this.host.start(hawser, ["serve", "--config", this.configFile]);
    const server = this.server;
    await until("the server is healthy", generousSeconds, async () => {
      if (server.child.exitCode !== null) {
        throw new Error(`the server ended: ${server.output}`);
      }
      const health = await this.host.run("curl", ["-fsS", "-m", "2", "http://127.0.0.1:8080/health"], { check: false });
      return health.status === 0 ? true : undefined;
    });
  }

  /** `hawser …` against this server. */
  cli(args: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
    return this.host.run(hawser, ["--config", this.configFile, ...args], options);
  }

  async cliJson<Value>(args: readonly string[]): Promise<Value> {
    return JSON.parse((await this.cli([...args, "--output", "json"])).stdout) as Value;
  }

  async createUser(name: string): Promise<number> {
    return (await this.cliJson<{ id: number }>(["users", "create", name])).id;
  }

  async createKey(user: number, extra: readonly string[] = ["--reusable", "--expiration", "24h"]): Promise<string> {
    return (await this.cliJson<{ key: string }>(["preauthkeys", "create", "--user", String(user), ...extra])).key;
  }
}

/** Makes a self-signed certificate for the names and addresses; both files are in the folder. */
export function selfSigned(folder: string, names: readonly string[]): { readonly cert: string; readonly key: string } {
  mkdirSync(folder, { recursive: true });
  const cert = join(folder, "cert.pem");
  const key = join(folder, "key.pem");
  const alternatives = names.map((name) => (/^[\d.]+$|:/.test(name) ? `IP:${name}` : `DNS:${name}`)).join(",");
  const made = spawnSync(
    "openssl",
    [
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-days",
      "30",
      "-keyout",
      key,
      "-out",
      cert,
      "-subj",
      `/CN=${names[0]}`,
      "-addext",
      `subjectAltName=${alternatives}`,
    ],
    { encoding: "utf8" },
  );
  if (made.status !== 0) {
    throw new Error(`openssl: ${made.stderr}`);
  }
  return { cert, key };
}

/** nginx as a TLS front for the server on the same host: https on 443, plain redirect-free pass-through on 80. */
export async function startTlsFront(
  host: Host,
  tls: { readonly cert: string; readonly key: string },
): Promise<RunningProgram> {
  const folder = join(host.folder, "nginx");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, "nginx.conf");
  writeFileSync(
    file,
    `daemon off; error_log stderr; pid ${folder}/nginx.pid; worker_processes 1;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  map $http_upgrade $connection_upgrade { default upgrade; '' close; }
  server {
    listen 443 ssl; listen [::]:443 ssl;
    ssl_certificate ${tls.cert}; ssl_certificate_key ${tls.key};
    location / {
      proxy_pass http://127.0.0.1:8080;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header Host $host;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_buffering off;
      proxy_read_timeout 1h; proxy_send_timeout 1h;
    }
  }
}
`,
  );
  const nginx = host.start("nginx", ["-c", file]);
  await until("nginx answers", generousSeconds, async () => {
    const answer = await host.run("curl", ["-sk", "-m", "1", "-o", "/dev/null", "https://127.0.0.1/"], {
      check: false,
    });
    return answer.status === 0 ? true : undefined;
  });
  return nginx;
}
