// Completion scripts, made from the tree of commands. They are static: no call of the program per key press.
import { globalFlags } from "./command.ts";
import type { Command, Group } from "./command.ts";

export type Shell = "bash" | "zsh" | "fish" | "powershell";

interface Place {
  /** Words from the root, separated by spaces; "" is the root. */
  readonly path: string;
  readonly words: readonly { readonly word: string; readonly about: string }[];
}

/** What may follow at every place of the tree. */
function places(command: Command, path: readonly string[]): Place[] {
  if (command.hidden === true) {
    return [];
  }
  const flags = [...(command.kind === "leaf" ? (command.flags ?? []) : []), ...globalFlags]
    .filter((flag) => flag.hidden !== true)
    .map((flag) => ({ word: `--${flag.name}`, about: flag.about }));
  if (command.kind === "leaf") {
    return [{ path: path.join(" "), words: flags }];
  }
  const children = command.children.filter((child) => child.hidden !== true);
  const words = children.map((child) => ({ word: child.name, about: child.summary }));
  return [
    { path: path.join(" "), words: [...words, ...flags] },
    ...children.flatMap((child) => places(child, [...path, child.name])),
  ];
}

/** Other names of groups and commands, as `alias → name` of one word, at every place. */
function aliases(command: Command, path: readonly string[]): { readonly from: string; readonly to: string }[] {
  if (command.kind === "leaf" || command.hidden === true) {
    return [];
  }
  return command.children.flatMap((child) => [
    ...(child.aliases ?? []).map((alias) => ({
      from: [...path, alias].join(" "),
      to: [...path, child.name].join(" "),
    })),
    ...aliases(child, [...path, child.name]),
  ]);
}

/** Ends in a newline. */
export function completionScript(shell: Shell, root: Group, programName: string): string {
  const all = places(root, []);
  const also = aliases(root, []);
  switch (shell) {
    case "bash":
      return bash(all, also, programName);
    case "zsh":
      return zsh(all, also, programName);
    case "fish":
      return fish(root, programName);
    case "powershell":
      return powershell(all, also, programName);
  }
}

type Aliases = ReturnType<typeof aliases>;

/** A walk over the words typed so far, in shell: `path` becomes the place. Flags and their values are stepped over. */
function shellWalk(all: readonly Place[], also: Aliases): string {
  const known = all.filter((place) => place.path !== "").map((place) => `    "${place.path}") path="${place.path}" ;;`);
  const renamed = also.map(({ from, to }) => `    "${from}") path="${to}" ;;`);
  return [...known, ...renamed].join("\n");
}

function bash(all: readonly Place[], also: Aliases, programName: string): string {
  const replies = all.map(
    (place) => `    "${place.path}") words="${place.words.map(({ word }) => word).join(" ")}" ;;`,
  );
  return `# bash completion for ${programName}; source it, or put it in /etc/bash_completion.d
_${programName}_complete() {
  local path="" try words="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    try="\${path:+$path }\${COMP_WORDS[i]}"
    case "$try" in
${shellWalk(all, also)}
    esac
  done
  case "$path" in
${replies.join("\n")}
  esac
  case "\${COMP_WORDS[COMP_CWORD - 1]}" in
    -o | --output) words="json json-line yaml" ;;
    -c | --config | -f | --file) COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}")); return ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _${programName}_complete ${programName}
`;
}

function zsh(all: readonly Place[], also: Aliases, programName: string): string {
  const quote = (text: string): string => text.replaceAll("'", "'\\''").replaceAll(":", "\\:");
  const replies = all.map(
    (place) =>
      `    "${place.path}") words=(${place.words.map(({ word, about }) => `'${quote(word)}:${quote(about)}'`).join(" ")}) ;;`,
  );
  return `#compdef ${programName}
# zsh completion for ${programName}; put it as _${programName} into a folder of $fpath
_${programName}() {
  local where="" path_="" try i
  local -a words_
  for ((i = 2; i < CURRENT; i++)); do
    try="\${path_:+$path_ }\${words[i]}"
    case "$try" in
${shellWalk(all, also).replaceAll(" path=", " path_=")}
    esac
  done
  case "\${words[CURRENT - 1]}" in
    -o | --output) compadd json json-line yaml; return ;;
    -c | --config | -f | --file) _files; return ;;
  esac
  case "$path_" in
${replies.join("\n").replaceAll(") words=(", ") words_=(")}
  esac
  _describe '${programName}' words_
}
if [ "$funcstack[1]" = "_${programName}" ]; then _${programName} "$@"; else compdef _${programName} ${programName}; fi
`;
}

function fish(root: Group, programName: string): string {
  const quote = (text: string): string => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const lines = [`# fish completion for ${programName}; put it into ~/.config/fish/completions/${programName}.fish`];
  lines.push(`complete -c ${programName} -f`);
  for (const flag of globalFlags) {
    lines.push(
      `complete -c ${programName} -l ${flag.name}${flag.short === undefined ? "" : ` -s ${flag.short}`}${flag.type === "bool" ? "" : flag.name === "config" ? " -r -F" : " -x -a 'json json-line yaml'"} -d ${quote(flag.about)}`,
    );
  }
  for (const child of root.children.filter((command) => command.hidden !== true)) {
    lines.push(`complete -c ${programName} -n __fish_use_subcommand -a ${child.name} -d ${quote(child.summary)}`);
    const seen = `__fish_seen_subcommand_from ${[child.name, ...(child.aliases ?? [])].join(" ")}`;
    for (const inner of child.kind === "group" ? child.children : []) {
      const names = child.kind === "group" ? child.children.map((other) => other.name).join(" ") : "";
      lines.push(
        `complete -c ${programName} -n '${seen}; and not __fish_seen_subcommand_from ${names}' -a ${inner.name} -d ${quote(inner.summary)}`,
      );
      for (const flag of inner.kind === "leaf" ? (inner.flags ?? []) : []) {
        if (flag.hidden !== true) {
          const own = `${seen}; and __fish_seen_subcommand_from ${[inner.name, ...(inner.aliases ?? [])].join(" ")}`;
          const value = flag.type === "bool" ? "" : flag.name === "file" ? " -r -F" : " -x";
          lines.push(
            `complete -c ${programName} -n '${own}' -l ${flag.name}${flag.short === undefined ? "" : ` -s ${flag.short}`}${value} -d ${quote(flag.about)}`,
          );
        }
      }
    }
  }
  return `${lines.join("\n")}\n`;
}

function powershell(all: readonly Place[], also: Aliases, programName: string): string {
  const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`;
  const table = all.map(
    (place) => `    ${quote(place.path)} = @(${place.words.map(({ word }) => quote(word)).join(", ")})`,
  );
  const renamed = also.map(({ from, to }) => `    ${quote(from)} = ${quote(to)}`);
  return `# PowerShell completion for ${programName}; add it to your profile
Register-ArgumentCompleter -Native -CommandName ${programName} -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $places = @{
${table.join("\n")}
  }
  $aliases = @{
${renamed.join("\n")}
  }
  $path = ''
  foreach ($element in $commandAst.CommandElements | Select-Object -Skip 1) {
    $try = if ($path) { "$path $element" } else { "$element" }
    if ($aliases.ContainsKey($try)) { $try = $aliases[$try] }
    if ($places.ContainsKey($try) -and "$element" -ne $wordToComplete) { $path = $try }
  }
  $places[$path] | Where-Object { $_ -like "$wordToComplete*" } | ForEach-Object {
    [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
  }
}
`;
}
