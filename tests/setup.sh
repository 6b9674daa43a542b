# Set-up shared by tests/run, integration/demo and .ci/run; to be sourced by bash.
# Sets $repository and gives ensure_packages and build.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=/usr/bin/python3  # Debian's own: the modules come from Debian's packages

# Installs what conf/packages lists and is missing; without root, says in one line what that is.
ensure_packages() {
  local package missing=()
  while read -r package; do
    [[ -z $package || $package == \#* ]] && continue
    if [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) != installed ]]; then
      missing+=("$package")
    fi
  done <"$repository/conf/packages"
  ((${#missing[@]} == 0)) && return
  if ((EUID != 0)); then
    echo "missing packages: ${missing[*]} (as root: apt-get install ${missing[*]})" >&2
    exit 1
  fi
  echo "installing ${#missing[@]} packages: ${missing[*]}"
  local log
  log=$(mktemp)
  # Services that a package would start are not wanted here: the tests start their own.
  if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get install -qq -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
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
