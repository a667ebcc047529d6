// What a command sees of the outside: streams, environment, and who it is. Tests pass their own.

export interface OutputStream {
  write(text: string): void;
  readonly isTerminal: boolean;
  /** Characters a line holds; undefined when it is no terminal. */
  readonly columns: number | undefined;
}

export interface Io {
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  /** Everything up to the first end of line; undefined at the end of input. */
  readLine(): Promise<string | undefined>;
  /** Somebody reads questions and can answer them. */
  readonly isInteractive: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  now(): number;
}

export function processIo(): Io {
  return {
    stdout: outputStream(process.stdout),
    stderr: outputStream(process.stderr),
    readLine: readLineFromStdin,
    isInteractive: process.stdin.isTTY && process.stderr.isTTY,
    env: process.env,
    now: () => Date.now(),
  };
}

function outputStream(stream: NodeJS.WriteStream): OutputStream {
  return {
    write: (text) => {
      stream.write(text);
    },
    isTerminal: stream.isTTY,
    columns: stream.isTTY ? stream.columns : undefined,
  };
}

/** Read, but of a line after the one that was asked for. */
let ahead = "";

/** Leaves what follows for the next question, and lets the process end without one. */
function readLineFromStdin(): Promise<string | undefined> {
  const { stdin } = process;
  return new Promise((resolve) => {
    const settle = (line: string | undefined): void => {
      stdin.off("data", take).off("end", end).off("error", end);
      stdin.pause();
      resolve(line);
    };
    const take = (text: string | Buffer): void => {
      ahead += text.toString();
      const at = ahead.indexOf("\n");
      if (at !== -1) {
        const line = ahead.slice(0, at).replace(/\r$/, "");
        ahead = ahead.slice(at + 1);
        settle(line);
      }
    };
    const end = (): void => {
      const rest = ahead;
      ahead = "";
      settle(rest === "" ? undefined : rest);
    };
    if (stdin.readableEnded) {
      end();
      return;
    }
    stdin.setEncoding("utf8").on("data", take).on("end", end).on("error", end);
    take("");
    if (stdin.listeners("data").includes(take)) {
      stdin.resume();
    }
  });
}
