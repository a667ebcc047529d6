// Takes a headscale database over, or gives it back, in a process of its own, to be killed at it: says when it begins and
// how it ends.
import type { DatabaseConfig } from "../src/config/config.ts";
import { takeOverAlone, undoTakeover } from "../src/server/takeover-part.ts";
import { postgresServer } from "../src/store/postgres/scratch.test-data.ts";

const [direction, kind, place = ""] = process.argv.slice(2);

function database(): DatabaseConfig {
  if (kind === "sqlite") {
    return { type: "sqlite", debug: false, path: place, writeAheadLog: true, walAutocheckpoint: 1000 };
  }
  const { host, port, user, password: pass } = postgresServer;
  const pool = { maxOpenConns: 10, maxIdleConns: 10, connMaxIdleTime: 0 };
  return { type: "postgres", debug: false, host, port, name: place, user, pass, sslMode: "disable", ...pool };
}

console.log("begins");
const outcome =
  direction === "back"
    ? await undoTakeover(database())
    : await takeOverAlone({
        database: database(),
        policy: { mode: "database", path: "" },
        serverUrl: "http://127.0.0.1",
      });
console.log(outcome.kind === "refused" ? `refused: ${outcome.reason}` : outcome.kind);
