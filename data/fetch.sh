#!/bin/sh
# Downloads MNIST and Fashion-MNIST and checks every file.
#
#   sh data/fetch.sh [FOLDER [SET...]]     default: the folder of this script, mnist fashion-mnist
#
# A file appears only when it is whole and its SHA-256 is right; files that are there and right are
# kept. Exit status: 0 everything is there, 2 usage, 4 a file could not be got.
set -eu

folder=${1:-$(dirname "$0")}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- mnist fashion-mnist

mirrors_of() {
  case $1 in
    mnist)
      echo https://ossci-datasets.s3.amazonaws.com/mnist
      echo https://storage.googleapis.com/cvdf-datasets/mnist ;;
    fashion-mnist)
      echo https://fashion-mnist.s3-website.eu-central-1.amazonaws.com
      echo http://fashion-mnist.s3-website.eu-central-1.amazonaws.com
      echo https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion ;;
  esac
}

# name:SHA-256 of every file of a set.
files_of() {
  case $1 in
    mnist)
      echo train-images-idx3-ubyte.gz:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609
      echo train-labels-idx1-ubyte.gz:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c
      echo t10k-images-idx3-ubyte.gz:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6
      echo t10k-labels-idx1-ubyte.gz:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6 ;;
    fashion-mnist)
      echo train-images-idx3-ubyte.gz:3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84
      echo train-labels-idx1-ubyte.gz:a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845
      echo t10k-images-idx3-ubyte.gz:346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073
      echo t10k-labels-idx1-ubyte.gz:67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5 ;;
  esac
}

if command -v curl > /dev/null; then
  download() { curl --fail --silent --location --connect-timeout 10 --max-time 300 --output "$2" "$1"; }
elif command -v wget > /dev/null; then
  download() { wget --quiet --tries=1 --timeout=10 --output-document="$2" "$1"; }
else
  echo "fetch.sh: needs curl or wget: apt-get install curl" >&2
  exit 4
fi

has_sum() { [ -f "$1" ] && [ "$(sha256sum < "$1" | cut -d ' ' -f 1)" = "$2" ]; }

part=
trap '[ -z "$part" ] || rm -f "$part"' EXIT
trap 'exit 1' HUP INT TERM

fetch() { # set, SHA-256, file
  target=$folder/$1/$3
  if has_sum "$target" "$2"; then
    echo "$target: there already"
    return
  fi
  part=$target.part.$$
  for mirror in $(mirrors_of "$1"); do
    if ! download "$mirror/$3" "$part"; then
      echo "$mirror/$3: no answer" >&2
    elif ! has_sum "$part" "$2"; then
      echo "$mirror/$3: wrong SHA-256, thrown away" >&2
    else
      mv "$part" "$target"
      part=
      echo "$target: downloaded and checked"
      return
    fi
    rm -f "$part"
  done
  echo "fetch.sh: $1/$3 could not be got from any mirror (no network?)." >&2
  echo "Put the files of data/README.md into $folder/$1 by hand, or use --dataset glyphs." >&2
  exit 4
}

for name in "$@"; do
  if [ -z "$(files_of "$name")" ]; then
    echo "fetch.sh: unknown set '$name', expected mnist or fashion-mnist" >&2
    exit 2
  fi
done
for name in "$@"; do
  mkdir -p "$folder/$name"
  for entry in $(files_of "$name"); do
    fetch "$name" "${entry#*:}" "${entry%%:*}"
  done
done
