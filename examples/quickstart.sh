#!/usr/bin/env bash
# From a fresh Debian machine to a trained network: installs what is missing, builds, and trains
# VGG-16-BN with five device processes and a server over TCP on this machine. Each device holds two
# of the ten classes: split learning forgets the others, IoTSL does not; both are printed side by side.
# Options are passed on, such as: examples/quickstart.sh --epochs 10
set -eu -o pipefail
cd "$(dirname "$0")/.."
. cmake/packages.sh

install_missing "${build_packages[@]}" curl ca-certificates

echo "building"
mkdir -p build
if ! { cmake --preset release && cmake --build --preset release --parallel "$(nproc)" --target iotsl iotsl-device; } \
  >build/quickstart.log 2>&1; then
  tail -n 40 build/quickstart.log
  exit 1
fi
echo "built after $SECONDS s"

# The data: the folder in IOTSL_DATA, else ./data, else a download, else the digits that are built in.
has_mnist() {
  [ -n "$(find "$1" "$1/mnist" -maxdepth 1 -name 'train-images*ubyte*' 2>/dev/null | head -n 1)" ]
}
data=${IOTSL_DATA:-data}
if has_mnist "$data" || { data=data && { has_mnist data || sh data/fetch.sh data mnist; }; }; then
  dataset=(--dataset mnist --data "$data")
else
  echo "MNIST is neither in IOTSL_DATA nor in ./data and could not be downloaded: using the built-in digits"
  dataset=(--dataset glyphs)
fi

build/release/iotsl experiment quickstart "${dataset[@]}" --transport tcp --out runs/quickstart --overwrite "$@"
echo "all of it took $SECONDS s; runs/quickstart/report.html is a page with curves and settings"
