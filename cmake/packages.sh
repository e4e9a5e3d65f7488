# shellcheck shell=bash
# Sourced by the scripts that promise to work on a fresh Debian machine.

# install_missing PACKAGE...: asks dpkg first, so that a machine that has everything needs neither
# root nor a network.
install_missing() {
  local missing=() package
  for package in "$@"; do
    dpkg -s "$package" 2>/dev/null | grep -q '^Status: install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  echo "installing: ${missing[*]}"
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "not root and no sudo; install by hand: ${missing[*]}" >&2; return 1; }
    as_root=(sudo)
  fi
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q update >/dev/null &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "${missing[@]}" >/dev/null
}

# shellcheck disable=SC2034  # read by those who source this
build_packages=(g++ make cmake libasio-dev libcli11-dev libeigen3-dev libjpeg-dev libpng-dev libssl-dev libstb-dev libutf8proc-dev zlib1g-dev)

# fetch_for ARCHITECTURE FOLDER PACKAGE...: unpacks packages of another architecture into FOLDER, with
# package lists of their own, so that the system stays as it is. Needs no root.
fetch_for() {
  local architecture=$1 folder=$2 state
  shift 2
  [ -e "$folder/.complete" ] && return 0
  mkdir -p "$folder"
  state=$(cd "$folder" && pwd)/.apt
  mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
  local apt=(apt-get -q -o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture"
    -o "Dir::State::lists=$state/lists" -o "Dir::Cache=$state/cache" -o Dir::State::status=/dev/null
    -o Dir::Etc::sourcelist=/dev/null -o APT::Sandbox::User=)
  "${apt[@]}" update && (cd "$state" && "${apt[@]}" download "$@") || return 1
  local file
  for file in "$state"/*.deb; do dpkg-deb -x "$file" "$folder" || return 1; done
  rm -rf "$state"
  touch "$folder/.complete"
}
