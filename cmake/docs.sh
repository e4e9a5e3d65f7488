#!/usr/bin/env bash
# Writes the API reference from the comments of the headers: build/docs/html/index.html.
# usage: cmake/docs.sh [FOLDER]
# Errors are what Doxygen does not understand, references that lead nowhere, and types and functions
# of headers that iotsl.hpp includes without a comment.
set -eu -o pipefail
cd "$(dirname "$0")/.."
. cmake/packages.sh
install_missing doxygen g++
out=${1:-build/docs}
mkdir -p "$out"
export IOTSL_DOCS_OUT=$out
log=$out/warnings.txt

doxygen cmake/Doxyfile >"$log" 2>&1 || { cat "$log"; exit 1; }

# With EXTRACT_ALL Doxygen does not say what has no comment. What a member of a type means, its name
# and the type's comment say.
{ cat cmake/Doxyfile
  echo "EXTRACT_ALL = NO"
  echo "WARN_IF_UNDOCUMENTED = YES"
  echo "WARN_AS_ERROR = NO"
  echo "GENERATE_HTML = NO"
} | doxygen - >"$log" 2>&1 || { cat "$log"; exit 1; }
public=$(g++ -MM -std=c++20 -Iinclude include/iotsl/iotsl.hpp | grep -o 'include/iotsl/[^ ]*\.hpp' |
  grep -v -E 'iotsl/(kernels|simd)/|fwd\.hpp')
missing=$(grep -F -f <(printf '%s\n' "$public") "$log" | grep 'is not documented' |
  grep -E 'Compound|\((function|typedef|enumeration|variable)\) of namespace' | grep -v '< .* >()' || true)
if [ -n "$missing" ]; then
  echo "$missing"
  echo "these need a comment: a /// before the declaration" >&2
  exit 1
fi
rm -f "$log"
echo "$out/html/index.html"
