#!/bin/sh
# Runs one of the project's TypeScript files with the project's own Node (npm's node-linux-* package),
# installing what is missing first. Needs only a POSIX shell, npm and the machine's Node >= 20 for the install.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
stamp="$root/node_modules/.hawser-installed"
if [ ! -f "$stamp" ] || ! cmp -s "$root/package-lock.json" "$stamp"; then
  echo "Installing dependencies ..." >&2
  # Not `npm ci`: it refuses a lock file written where other platforms' optional packages could not be had.
  # The versions are those of the lock file all the same.
  (cd "$root" && npm install --no-save --no-audit --no-fund --loglevel=error >&2)
  cp "$root/package-lock.json" "$stamp"
fi
. "$root/scripts/node-path.sh"
script=$1
shift
exec "$node" $node_memory "$root/$script" "$@"
