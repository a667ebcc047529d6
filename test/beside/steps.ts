// What is done to both servers, as data. Texts may hold `{{name}}`: what an earlier step kept on that side.

export interface AskStep {
  readonly do: "ask";
  /** "GET /api/v1/user": sent as written, escapes and all. */
  readonly line: string;
  /** A text is sent as it is, all else as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** What stands for the right API key. */
  readonly authorization?: string | null;
  /** Name → where in the answer's body it is. */
  readonly keep?: Readonly<Record<string, string>>;
}

export interface JoinStep {
  readonly do: "join";
  readonly host: string;
  readonly authKey: string;
  readonly routes?: readonly string[];
  readonly tags?: readonly string[];
  readonly ephemeral?: boolean;
}

/** A machine asks to join without a key. */
export interface WaitStep {
  readonly do: "wait";
  readonly host: string;
  readonly routes?: readonly string[];
  readonly tags?: readonly string[];
  /** The name under which its auth id is kept. */
  readonly keep: string;
}

/** A machine that joined opens its map and is online when this is done. */
export interface ConnectStep {
  readonly do: "connect";
  readonly host: string;
  readonly node: string;
}

export interface RunStep {
  readonly do: "run";
  readonly words: readonly string[];
  /** What is typed. */
  readonly input?: string;
  /** headscale's program over gRPC with TLS, with this key; without, the side's own program on the server's machine. */
  readonly remote?: RemoteKey;
  /** Name → where in the JSON output it is; "" is the whole line as text. */
  readonly keep?: Readonly<Record<string, string>>;
}

export type RemoteKey = "right key" | "wrong key" | "no key" | "unknown certificate";

export type Step = AskStep | JoinStep | WaitStep | ConnectStep | RunStep;

export interface Sequence {
  readonly name: string;
  readonly policyMode?: "file" | "database";
  /** Both serve with TLS, and gRPC beside it. */
  readonly tls?: boolean;
  readonly steps: readonly Step[];
}

type AskMore = Pick<AskStep, "headers" | "authorization" | "keep">;

export function ask(line: string, body?: unknown, more: AskMore = {}): AskStep {
  return { do: "ask", line, ...(body === undefined ? {} : { body }), ...more };
}

export function asks(...lines: readonly string[]): readonly AskStep[] {
  return lines.map((line) => ask(line));
}

export function join(host: string, authKey: string, more: Omit<JoinStep, "do" | "host" | "authKey"> = {}): JoinStep {
  return { do: "join", host, authKey, ...more };
}

export function wait(host: string, keep: string, more: Pick<WaitStep, "routes" | "tags"> = {}): WaitStep {
  return { do: "wait", host, keep, ...more };
}

export function connect(host: string, node: string): ConnectStep {
  return { do: "connect", host, node };
}

/** The words are split at spaces unless given one by one. */
export function run(words: string | readonly string[], more: Pick<RunStep, "input" | "keep"> = {}): RunStep {
  return { do: "run", words: typeof words === "string" ? words.split(" ") : words, ...more };
}

export function remote(words: string, key: RemoteKey = "right key"): RunStep {
  return { do: "run", words: words.split(" "), remote: key };
}

/** RFC 3339, so many minutes from now. */
export function minutesFromNow(minutes: number): string {
  return new Date(Date.now() + minutes * 60_000).toISOString();
}

/** How a step is named in reports and in the list of differences. */
export function nameOf(step: Step): string {
  switch (step.do) {
    case "ask": {
      const body =
        step.body === undefined ? "" : ` ${typeof step.body === "string" ? step.body : JSON.stringify(step.body)}`;
      const key = step.authorization === undefined ? "" : ` [authorization: ${step.authorization ?? "none"}]`;
      return `${step.line}${body}${key}`;
    }
    case "run":
      return (
        (step.remote === undefined ? "" : `remote, ${step.remote}: `) +
        step.words.join(" ") +
        (step.input === undefined ? "" : ` < ${JSON.stringify(step.input)}`)
      );
    case "join":
    case "wait":
    case "connect":
      return `${step.do} ${step.host}`;
  }
}
