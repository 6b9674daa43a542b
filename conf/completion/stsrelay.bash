# Completion of stsrelay's subcommands and options for bash. Both are what --help lists, so that this
# file knows nothing that could go out of date.

# Subcommands so far: the words before the cursor that are neither options nor their values.
_stsrelay_help() {
  local word
  local -a command=("${COMP_WORDS[0]}")
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $word == [a-z]* ]] || break
    "${command[@]}" "$word" --help >/dev/null 2>&1 || break
    command+=("$word")
  done
  "${command[@]}" --help 2>/dev/null
}

_stsrelay_files() {
  compopt -o filenames 2>/dev/null  # a folder gets its slash
  mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

_stsrelay() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} help words
  COMPREPLY=()
  case $previous in
    --config | --socket | --policy-file)
      _stsrelay_files "$current"
      return
      ;;
  esac
  help=$(_stsrelay_help)
  if [[ $current == -* ]]; then
    words=$(grep -oE '(^ +|,)--?[a-z][a-z-]*' <<<"$help" | tr -d ' ,')
  else
    words=$(sed -n '/^Subcommands:/,/^$/s/^ \+\([a-z][a-z-]*\).*/\1/p' <<<"$help")
  fi
  if [[ -n $words ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  else
    _stsrelay_files "$current"
  fi
}

complete -F _stsrelay stsrelay
