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

async function readLineFromStdin(): Promise<string | undefined> {
  const { createInterface } = await import("node:readline");
  const lines = createInterface({ input: process.stdin, terminal: false });
  try {
    for await (const line of lines) {
      return line;
    }
    return undefined;
  } finally {
    lines.close();
    process.stdin.destroy();
  }
}
