#!/usr/bin/env bash
# Installs what is missing, builds, runs all tests, closes with a line `N passed, N failed`.
# usage: tests/run.sh [STAGE...]
# A stage is a preset: release asan aarch64 armhf tsan noexcept minsize static; armhf-smoke is the short
# form of armhf, aarch64-bench cross-builds the benches. Without arguments: release asan aarch64
# armhf-smoke tsan.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
. cmake/packages.sh

stages=("$@")
[ ${#stages[@]} -eq 0 ] && stages=(release asan aarch64 armhf-smoke tsan)
jobs=${IOTSL_JOBS:-$(nproc)}
logs=build/logs
passed=0 failed=0 skipped=0
mkdir -p "$logs"
# For build folders that are not there yet: make would wait for a library before it compiles what links it.
export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}

# What each stage configures. A test case in the suite "slow" runs in the release build only:
# sanitizers make it 3 and emulation 20 times slower.
options_of() {
  case $1 in
    release) echo -DIOTSL_WERROR=ON ;;
    asan) echo -DIOTSL_BUILD_EXAMPLES=OFF -DIOTSL_TEST_ARGUMENTS=--test-suite-exclude=slow \
      '-DIOTSL_TEST_LAYERS=core;autograd;ops;nn;data;net' ;;
    aarch64) echo -DIOTSL_TEST_ARGUMENTS=--test-suite-exclude=slow -DIOTSL_BUILD_BENCHES=OFF \
      '-DIOTSL_TEST_LAYERS=core;kernels;autograd;ops;nn;optim;models;golden' ;;
    aarch64-bench) echo -DIOTSL_TEST_LAYERS=none -DIOTSL_BUILD_BENCHES=ON \
      "-Dbenchmark_DIR=$PWD/build/aarch64-packages/usr/lib/aarch64-linux-gnu/cmake/benchmark" ;;
    armhf) echo -DIOTSL_BUILD_EXAMPLES=ON '-DIOTSL_TEST_ARGUMENTS=--test-suite-exclude=slow;-tce=*of?threads' \
      '-DIOTSL_TEST_LAYERS=core;kernels;golden' ;;
    armhf-smoke) echo -DIOTSL_BUILD_EXAMPLES=OFF -DIOTSL_TEST_ARGUMENTS=--test-suite-exclude=slow \
      '-DIOTSL_TEST_LAYERS=core' ;;
    minsize) echo -DIOTSL_TEST_LAYERS=none ;;
  esac
}

packages_of() {
  case $1 in
    release) echo doctest-dev libbenchmark-dev pkg-config python3 iproute2 systemd faketime doxygen ;;
    asan | tsan) echo doctest-dev ;;
    noexcept | minsize | static) echo python3 ;;
    armhf | armhf-smoke) echo doctest-dev g++-arm-linux-gnueabihf qemu-user python3 ;;
    aarch64 | aarch64-bench) echo doctest-dev g++-aarch64-linux-gnu qemu-user python3 ;;
  esac
}

# timed TEXT COMMAND...: the output goes to a log and is shown on failure.
timed() {
  local text=$1 log begin=$SECONDS
  log=$logs/$(echo "$text" | tr ' ' '-').log
  shift
  if "$@" >"$log" 2>&1; then
    printf '%-24s %4d s\n' "$text" $((SECONDS - begin))
  else
    printf '%-24s %4d s  FAILED, the end of %s:\n' "$text" $((SECONDS - begin)) "$log"
    tail -n 40 "$log"
    return 1
  fi
}

build_stage() {
  local stage=$1 preset=${1%%-*}
  if [ "$stage" = aarch64-bench ]; then
    timed "aarch64 benchmark library" fetch_for arm64 build/aarch64-packages libbenchmark-dev libbenchmark1debian ||
      { echo "  benches for aarch64 left out"; skipped=$((skipped + 1)); }
  fi
  # shellcheck disable=SC2046
  timed "$stage configure" cmake --preset "$preset" $(options_of "$stage") &&
    timed "$stage build" cmake --build --preset "$preset" --parallel "$jobs"
}

# run_tests STAGE JOBS
run_tests() {
  local begin=$SECONDS
  ctest --preset "${1%%-*}" --verbose --parallel "$2" >"$logs/$1-test.log" 2>&1
  echo $((SECONDS - begin)) >"$logs/$1-test.seconds"
}

report_tests() {
  local stage=$1 log=$logs/$1-test.log p f s
  read -r p f s < <(awk -f tests/support/count.awk "$log")
  [ $((p + f)) -gt 0 ] || f=1
  printf '%-24s %4d s  %d passed, %d failed, %d skipped\n' "$stage test" "$(<"$logs/$stage-test.seconds")" "$p" "$f" "$s"
  grep -E '^[0-9]+: \[skipped\]' "$log" | sed 's/^[0-9]*: /  /' | sort -u
  if [ "$f" -gt 0 ]; then
    grep -E '^[0-9]+: .*(ERROR|TEST CASE:|values:|SUMMARY:|runtime error)|\*\*\*' "$log" | head -n 60
    echo "  all of it: $log"
  fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

# The stages that are built, at the same time: the longest test of each is one process, which alone would leave
# processors idle. A processor is two places, of which a test that computes takes both and one that mostly waits, for
# lost connections and slow networks, takes one; where it is one stage, one more of the former or two of the latter.
test_built() {
  local stage parallel=$((2 * jobs))
  [ ${#built[@]} -eq 1 ] && parallel=$((2 * jobs + 2))
  for stage in "${built[@]}"; do run_tests "$stage" "$parallel" & done
  wait
  for stage in "${built[@]}"; do report_tests "$stage"; done
  built=()
}

install_missing "${build_packages[@]}" ninja-build || { echo "0 passed, 1 failed"; exit 1; }
# All packages first: the release stage compares with the cross compilers of the others.
ready=()
for stage in "${stages[@]}"; do
  if [ -z "$(packages_of "$stage")" ]; then
    echo "no stage '$stage'; expected some of: release asan aarch64 aarch64-bench armhf armhf-smoke tsan noexcept minsize static"
    failed=$((failed + 1))
    continue
  fi
  if [[ $stage =~ ^(aarch64|armhf) ]] && [ "$(dpkg --print-architecture)" != amd64 ]; then
    echo "$stage: the cross build is for an amd64 host; the release stage has tested this machine"
    skipped=$((skipped + 1))
    continue
  fi
  # shellcheck disable=SC2046
  if install_missing $(packages_of "$stage"); then ready+=("$stage"); else failed=$((failed + 1)); fi
done
built=()
for stage in "${ready[@]}"; do
  # Not beside others where times are measured; and a preset has one build folder.
  if [ "$stage" = release ] || [[ " ${built[*]%%-*} " == *" ${stage%%-*} "* ]]; then test_built; fi
  if build_stage "$stage"; then built+=("$stage"); else failed=$((failed + 1)); fi
  if [ "$stage" = release ]; then test_built; fi
done
test_built
printf 'all stages %18d s\n' "$SECONDS"
[ $((passed + failed)) -gt 0 ] || failed=1
line="$passed passed, $failed failed"
[ "$skipped" -gt 0 ] && line="$line, $skipped skipped"
echo "$line"
[ "$failed" -eq 0 ]
