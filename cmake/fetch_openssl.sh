#!/usr/bin/env bash
# Fetches the OpenSSL of a board for a cross build, which then has TLS; needs no root.
# usage: bash cmake/fetch_openssl.sh aarch64|armhf
set -eu
cd "$(dirname "$0")/.."
. cmake/packages.sh

case ${1:-} in
  aarch64) architecture=arm64 ;;
  armhf) architecture=armhf ;;
  *) echo "usage: bash cmake/fetch_openssl.sh aarch64|armhf" >&2; exit 2 ;;
esac
folder=build/$1-openssl # where the toolchain file looks
fetch_for "$architecture" "$folder" libssl-dev libssl3
# What differs between architectures lies in a folder that a cross compiler does not look into.
cp "$folder"/usr/include/*-linux-gnu*/openssl/*.h "$folder"/usr/include/openssl/
