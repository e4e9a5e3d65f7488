#!/usr/bin/env bash
# Runs every fuzzer in turn until so many executions have been made in all, then prints what each has done
# and how much of the readers the inputs reach.
# usage: tests/fuzz/campaign.sh [EXECUTIONS [SECONDS_PER_ROUND [TARGET...]]]
# Without arguments 100000000 and 60; 0 executions: coverage of the inputs that are there. Inputs that reach
# something new are kept in build/fuzz-corpus, so that it can be stopped and goes on where it was; what breaks a
# target lies in build/fuzz-findings.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1
. cmake/packages.sh

wanted=${1:-100000000} seconds=${2:-60}
shift $(($# < 2 ? $# : 2))
only=("$@")
corpus=build/fuzz-corpus findings=build/fuzz-findings logs=build/fuzz-logs
jobs=${IOTSL_JOBS:-1}

install_missing "${build_packages[@]}" clang-14 libclang-rt-14-dev llvm-14 python3 || exit 1
for preset in fuzz fuzz-coverage; do
  { cmake --preset $preset && cmake --build --preset $preset --parallel "$jobs"; } >build/$preset.log 2>&1 ||
    { tail -n 40 build/$preset.log; exit 1; }
done
mkdir -p "$findings" "$logs"
export ASAN_OPTIONS=${ASAN_OPTIONS:-} UBSAN_OPTIONS=print_stacktrace=1

# program target longest-input, line by line
all=()
for program in build/fuzz/tests/fuzz/*_fuzzer; do
  while read -r target longest; do
    [ ${#only[@]} -gt 0 ] && [[ " ${only[*]} " != *" $target "* ]] && continue
    all+=("$(basename "$program") $target $longest")
  done < <("$program" --list)
done
declare -A executions spent broken
sum=0

# One round of one target. A target that is broken gets no further one.
fuzz_round() {
  local program=build/fuzz/tests/fuzz/$1 target=$2 longest=$3 begin=$SECONDS dictionary=() done
  mkdir -p "$corpus/$target"
  "$program" "--target=$target" "--seeds=$corpus/seeds/$target" || return 1
  [ -e "$corpus/seeds/$target.dict" ] && dictionary=("-dict=$corpus/seeds/$target.dict")
  local known=()
  [ -d "tests/fuzz/regressions/$target" ] && known=("tests/fuzz/regressions/$target")
  "$program" "--target=$target" -max_total_time="$seconds" -max_len="$longest" -timeout=20 -report_slow_units=20 -rss_limit_mb=1024 \
    -malloc_limit_mb=256 -print_final_stats=1 -artifact_prefix="$findings/$target-" "${dictionary[@]}" \
    "$corpus/$target" "$corpus/seeds/$target" "${known[@]}" >"$logs/$target.log" 2>&1 || broken[$target]=1
  done=$(sed -n 's/^stat::number_of_executed_units: *//p' "$logs/$target.log")
  executions[$target]=$((${executions[$target]:-0} + ${done:-0}))
  spent[$target]=$((${spent[$target]:-0} + SECONDS - begin))
  sum=$((sum + ${done:-0}))
}

# Stopped by hand: the table is of what was done until then.
trap 'wanted=0' INT TERM
while [ "$sum" -lt "$wanted" ]; do
  before=$sum
  for line in "${all[@]}"; do
    read -r program target longest <<<"$line"
    [ -n "${broken[$target]:-}" ] || fuzz_round "$program" "$target" "$longest"
    [ "$sum" -lt "$wanted" ] || break
  done
  [ "$sum" -gt "$before" ] || break
done

printf '%-18s %12s %9s %8s %9s\n' target executions 'exec/s' inputs findings
found=0
for line in "${all[@]}"; do
  read -r _ target _ <<<"$line"
  count=$(find "$findings" -name "$target-*" | wc -l)
  found=$((found + count)) time=${spent[$target]:-0}
  printf '%-18s %12d %9d %8d %9d\n' "$target" "${executions[$target]:-0}" \
    $((${executions[$target]:-0} / (time > 0 ? time : 1))) \
    "$(find "$corpus/$target" -type f 2>/dev/null | wc -l)" "$count"
done
printf '%-18s %12d %29d\n' all "$sum" "$found"

trap - INT TERM

# Coverage: every input once, without sanitizers.
profiles=build/fuzz-profiles
rm -rf "$profiles"
for line in "${all[@]}"; do
  read -r program target _ <<<"$line"
  mkdir -p "$corpus/$target"
  inputs=("$corpus/$target" "$corpus/seeds/$target")
  build/fuzz/tests/fuzz/"$program" "--target=$target" "--seeds=$corpus/seeds/$target"
  [ -d "tests/fuzz/regressions/$target" ] && inputs+=("tests/fuzz/regressions/$target")
  LLVM_PROFILE_FILE=$profiles/$target.profraw build/fuzz-coverage/tests/fuzz/"$program" "--target=$target" \
    -runs=0 "${inputs[@]}" >"$logs/$target-coverage.log" 2>&1 || { echo "$target: no coverage"; found=$((found + 1)); }
done
llvm-profdata-14 merge -sparse "$profiles"/*.profraw -o "$profiles/all.profdata" &&
  python3 tests/fuzz/coverage.py "$profiles/all.profdata" build/fuzz-coverage/tests/fuzz/*_fuzzer
[ "$found" -eq 0 ]
