// A bench in a network namespace of its own, with small socket buffers.
import { spawn } from "node:child_process";

const insideVariable = "HAWSER_BENCH_NAMESPACE";

/** Runs this same command in a network namespace of its own; undefined where that cannot be, or it is inside already. */
export async function inNamespace(): Promise<number | undefined> {
  if (process.platform !== "linux" || process.getuid?.() !== 0 || process.env[insideVariable] !== undefined) {
    return undefined;
  }
  const script = [
    "ip link set lo up",
    'echo "4096 16384 65536" > /proc/sys/net/ipv4/tcp_wmem',
    'echo "4096 32768 65536" > /proc/sys/net/ipv4/tcp_rmem',
    'exec "$@"',
  ].join(" && ");
  const child = spawn(
    "unshare",
    ["--net", "sh", "-c", script, "sh", process.execPath, ...process.execArgv, ...process.argv.slice(1)],
    { stdio: "inherit", env: { ...process.env, [insideVariable]: "1" } },
  );
  return new Promise((done, fail) => {
    child.once("error", fail);
    child.once("exit", (code) => done(code ?? 1));
  });
}
