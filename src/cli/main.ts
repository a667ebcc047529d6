// The program. `headscale` is the same under another name.
import { basename } from "node:path";
import { processIo } from "./io.ts";
import { runProgram } from "./program.ts";

// bin/headscale says so by the environment, because a shell wrapper hides its name from us.
const calledAs = process.env["HAWSER_PROGRAM_NAME"] ?? basename(process.argv[1] ?? "");
const programName = calledAs.startsWith("headscale") ? "headscale" : "hawser";

// A reader that stops early (`| head`) is no error.
process.stdout.on("error", (fault: NodeJS.ErrnoException) => {
  process.exitCode = fault.code === "EPIPE" ? 0 : 1;
});

process.exitCode = await runProgram(process.argv.slice(2), { programName, io: processIo() });
