/** Where the relay tells what happened: one line per decision, fields apart, never a secret. */
export type RelayLog = (level: "info" | "warn", text: string, fields?: Readonly<Record<string, unknown>>) => void;

export const silentLog: RelayLog = () => undefined;
