#pragma once
// The options of iotsl-bench.

#include <string>

#include "support/option_slots.hpp"

namespace iotsl::bench {

struct Options {
  std::string filter, json, compare, sysfs_root = "/sys";
  int threads = 0;  ///< 0: all cores
  bool quick = false, list = false;
  bool help = false, version = false;
};

inline constexpr const char* usage =
    "Usage: iotsl-bench [options]\n"
    "\n"
    "Measures how fast the engine is on this machine: first what the processor and the memory can\n"
    "do, then convolutions and whole steps of training as a share of that. A board that has to slow\n"
    "down is said. Without options it takes about a minute on a PC.\n"
    "\n"
    "  --quick              small batches, one round: a look in seconds, not to be quoted\n"
    "  --filter TEXT        only rows with TEXT in their names, beside those of the machine\n"
    "  --threads N          measure with one thread and with N; default: all cores\n"
    "  --json FILE          write machine, state of the board and rows to FILE\n"
    "  --compare FILE       compare with FILE, which --json has written: a row is faster or slower\n"
    "                       where the middle halves of both measurements do not touch\n"
    "  --list               print the names of the rows and measure nothing\n"
    "  --sysfs-root DIR     folder to read in place of /sys\n"
    "  --help, --version\n"
    "\n"
    "Exit codes: 0 success, 1 other error, 2 usage, 4 a file that cannot be compared with, 6 at\n"
    "least one row is slower than in the compared file.\n";

/// Of the exit codes, the one that only this program has.
inline constexpr int exit_code_slower = 6;

/// Reads the command line; the failure names the option and what it expects.
inline Result<Options> parse_options(int argc, char** argv) {
  Options out;
  OptionSlot slots[] = {
      {"--help", &out.help},       {"-h", &out.help},
      {"--version", &out.version}, {"--quick", &out.quick},
      {"--list", &out.list},       {"--filter", &out.filter},
      {"--threads", &out.threads}, {"--json", &out.json},
      {"--compare", &out.compare}, {"--sysfs-root", &out.sysfs_root},
  };
  for (int i = 1; i < argc; ++i) {
    const Result<void> stored = parse_option(slots, "iotsl-bench", argc, argv, i);
    if (!stored) return stored.failure();
    if (out.help || out.version) return out;
  }
  return out;
}

}  // namespace iotsl::bench
