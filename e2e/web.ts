// A small web server on a host, open to the tailnet only.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generousSeconds } from "../test/patience.ts";
import { until } from "./netns.ts";
import type { Host, RunningProgram } from "./netns.ts";

/** nginx that serves one page on the ports given; only tailnet addresses and the host itself may read it. */
export async function serveTailnetPage(
  host: Host,
  text: string,
  ports: readonly number[] = [80],
): Promise<RunningProgram> {
  const folder = join(host.folder, "web");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "index.html"), text);
  const file = join(folder, "nginx.conf");
  const listen = ports.map((port) => `listen ${port}; listen [::]:${port};`).join(" ");
  writeFileSync(
    file,
    `daemon off; error_log stderr; pid ${folder}/nginx.pid; worker_processes 1;
events { worker_connections 256; }
http {
  access_log off; default_type text/html;
  client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  server {
    ${listen}
    root ${folder};
    allow 127.0.0.0/8; allow 100.64.0.0/10; allow fd7a:115c:a1e0::/48; deny all;
  }
}
`,
  );
  // The page must be readable by nginx's workers, whoever they run as.
  await host.run("chmod", ["-R", "a+rX", folder]);
  await host.run("chmod", ["a+x", host.folder, host.lab.folder]);
  const nginx = host.start("nginx", ["-c", file]);
  await until(`${host.name} serves its page`, generousSeconds, async () => {
    const answer = await host.run("curl", ["-fs", "-m", "1", `http://127.0.0.1:${ports[0]}/`], { check: false });
    return answer.stdout.includes(text) ? true : undefined;
  });
  return nginx;
}
