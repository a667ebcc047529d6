// Completion scripts. They know no command: at each press of the key they ask `hawser __complete` (complete.ts), which
// knows those of its own version, and the names on its server.

export type Shell = "bash" | "zsh" | "fish" | "powershell";

/** Ends in a newline. */
export function completionScript(shell: Shell, programName: string): string {
  switch (shell) {
    case "bash":
      return bash(programName);
    case "zsh":
      return zsh(programName);
    case "fish":
      return fish(programName);
    case "powershell":
      return powershell(programName);
  }
}

/** Nothing of what the server says is ever evaluated: candidates are read as lines and quoted. */
function bash(programName: string): string {
  return `# bash completion for ${programName}: source it, or put it as ${programName} into
# ~/.local/share/bash-completion/completions
_${programName}_complete() {
  # Bash splits words at = and : as well; put them together where no blank stands between.
  local rest="$COMP_LINE" words=() word i
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    if ((i > 0)) && [[ "$rest" != [[:space:]]* ]]; then
      words[\${#words[@]} - 1]+="$word"
    else
      words+=("$word")
    fi
    rest="\${rest#"\${rest%%[![:space:]]*}"}"
    rest="\${rest#"$word"}"
  done
  local program="\${words[0]}" quote="" current value cut line directive=0
  # What was typed means something else to the program: without the shell's quotes.
  words=("\${words[@]//\\\\/}")
  current="\${words[\${#words[@]} - 1]}"
  if [[ "$current" == [\\'\\"]* ]]; then
    quote="\${current:0:1}"
    current="\${current:1}"
    words[\${#words[@]} - 1]="$current"
  fi
  type -t "$program" > /dev/null || program=${programName}
  value="$current"
  [[ "$current" == -*=* ]] && value="\${current#*=}"
  # What stands before the last colon is there already.
  cut="\${value%"\${value##*:}"}"
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ "$line" =~ ^:[0-9]+$ ]]; then
      directive="\${line#:}"
    else
      line="\${line%%$'\\t'*}"
      # Inside of quotes only what needs none is safe.
      if [[ -z "$quote" ]]; then
        COMPREPLY+=("$(printf '%q' "\${line#"$cut"}")")
      elif [[ "$line" != *[^[:alnum:]_.:/@%+=,-]* ]]; then
        COMPREPLY+=("\${line#"$cut"}")
      fi
    fi
  done < <("$program" __complete "\${words[@]:1}" 2> /dev/null)
  if ((directive & 2)); then
    compopt -o nospace 2> /dev/null
  fi
  if (((directive & 4) == 0 && \${#COMPREPLY[@]} == 0)); then
    compopt -o filenames 2> /dev/null
    while IFS= read -r line; do
      COMPREPLY+=("$line")
    done < <(compgen -f -- "$value")
  fi
}
complete -F _${programName}_complete ${programName}
`;
}

function zsh(programName: string): string {
  return `#compdef ${programName}
# zsh completion for ${programName}: put it as _${programName} into a folder of $fpath
_${programName}() {
  local line directive=0 text
  local -a candidates options
  local -a lines=("\${(@f)$("\${(Q)words[1]}" __complete "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2> /dev/null)}")
  for line in "\${lines[@]}"; do
    if [[ "$line" == :<-> ]]; then
      directive="\${line#:}"
    elif [[ -n "$line" ]]; then
      text="\${line%%$'\\t'*}"
      text="\${text//:/\\\\:}"
      [[ "$line" == *$'\\t'* ]] && text+=":\${line#*$'\\t'}"
      candidates+=("$text")
    fi
  done
  # Of --flag=value only the value is completed.
  [[ "$PREFIX" == -*=* ]] && compset -P '*='
  ((directive & 2)) && options=(-S '')
  if ((\${#candidates})); then
    _describe '${programName}' candidates "\${options[@]}"
  elif (((directive & 4) == 0)); then
    _files
  fi
}
if [[ "\${funcstack[1]}" == "_${programName}" ]]; then
  _${programName} "$@"
else
  compdef _${programName} ${programName}
fi
`;
}

function fish(programName: string): string {
  return `# fish completion for ${programName}: put it into ~/.config/fish/completions/${programName}.fish
function __${programName}_complete
  set -l words (commandline -opc)
  set -l current (commandline -ct)
  set -l program $words[1]
  set -e words[1]
  # Of --flag=value only the value is completed.
  set -l before (string match -r -- '^-[^=]*=' "$current")
  for line in ($program __complete $words "$current" 2> /dev/null)
    if not string match -qr -- '^:[0-9]+$' $line
      echo "$before$line"
    else if test $line = :0
      __fish_complete_path (string replace -- "$before" '' "$current")
    end
  end
end
complete -c ${programName} -e
complete -c ${programName} -f -a '(__${programName}_complete)'
`;
}

function powershell(programName: string): string {
  return `# PowerShell completion for ${programName}: add it to the file that $PROFILE names
Register-ArgumentCompleter -Native -CommandName '${programName}' -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $words = @($commandAst.CommandElements | Select-Object -Skip 1 |
    Where-Object { $_.Extent.EndOffset -lt $cursorPosition } | ForEach-Object { $_.Extent.Text })
  # An empty word is not passed on by every version, so it is written as two quotes.
  $current = if ($wordToComplete) { "$wordToComplete" } else { '""' }
  # Of --flag=value only the value is completed.
  $before = if ($current -match '^-[^=]*=') { $Matches[0] } else { '' }
  & '${programName}' __complete @words $current 2>$null | Where-Object { $_ -notmatch '^:[0-9]+$' } | ForEach-Object {
    $text, $about = $_ -split "\`t", 2
    if (-not $about) { $about = $text }
    $written = if ($text -match '^[\\w.:/@%+=,-]+$') { $text } else { "'" + ($text -replace "'", "''") + "'" }
    [System.Management.Automation.CompletionResult]::new($before + $written, $text, 'ParameterValue', $about)
  }
}
`;
}
