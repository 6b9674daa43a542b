# Set-up shared by tests/run, integration/demo and .ci/run; to be sourced by bash.
# Sets $repository and gives ensure_packages and build.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=/usr/bin/python3  # Debian's own: the modules come from Debian's packages

# packages [SECTION...]: what conf/packages lists in these sections, in all if none is named.
packages() {
  local line section=
  while read -r line; do
    case $line in
      "# "*) section=${line#\# } ;;
      "") ;;
      *) (($#)) && [[ " $* " != *" $section "* ]] || echo "$line" ;;
    esac
  done <"$repository/conf/packages"
}

# Installs packages without starting the services that some of them bring: the tests start their
# own. (Debian's way to say so is this program's exit status.)
install_packages() (
  policy=/usr/sbin/policy-rc.d
  if [[ ! -e $policy ]]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' INT TERM HUP
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@"
)

# ensure_packages [SECTION...]: installs what is missing of these sections (all if none is named);
# without root, says in one line what that is.
ensure_packages() {
  local package missing=()
  for package in $(packages "$@"); do
    if [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) != installed ]]; then
      missing+=("$package")
    fi
  done
  ((${#missing[@]} == 0)) && return
  if ((EUID != 0)); then
    echo "missing packages: ${missing[*]} (as root: apt-get install ${missing[*]})" >&2
    exit 1
  fi
  echo "installing ${#missing[@]} packages: ${missing[*]}"
  local log
  log=$(mktemp)
  if ! install_packages "${missing[@]}" >"$log" 2>&1; then
    echo "cannot install ${missing[*]}: $(grep -m1 '^E:' "$log" || tail -n1 "$log")" >&2
    exit 1
  fi
  rm -f "$log"
}

# build PRESET [TARGET...]: configures (once) and builds; quiet unless it fails.
build() {
  local preset=$1 folder="$repository/build/$1" options=() log
  shift
  log=$(mktemp)
  if command -v ccache >/dev/null; then
    options+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  fi
  echo "building $preset (${*:-everything})"
  if ! { [[ -f $folder/build.ninja ]] ||
    (cd "$repository" && cmake --preset "$preset" "${options[@]}"); } >"$log" 2>&1 ||
    ! ninja -C "$folder" "$@" >>"$log" 2>&1; then
    tail -n 40 "$log" >&2
    echo "the build failed; the whole log is in $log" >&2
    exit 1
  fi
  rm -f "$log"
}
