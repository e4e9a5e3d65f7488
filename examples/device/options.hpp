#pragma once
// The options of iotsl-device. A small parser of our own: the program must stay below 1 MB.

#include <cstdlib>
#include <string>
#include <string_view>

#include "iotsl/net/channel.hpp"
#include "iotsl/net/run_description.hpp"

namespace iotsl::device {

struct Options {
  std::string server, name, dataset, data, manifest, state, generator;
  int index = -1;   ///< -1: the server chooses
  int threads = 0;  ///< 0: all cores
  int wait_seconds = 60;
  int reconnect_seconds = 0;  ///< 0: for ever
  double max_epsilon = 0;     ///< 0: no limit of the owner's
  bool insecure = false;
  bool private_only = false, generator_only = false, new_data = false;
  bool with_parent = false;
  bool help = false, version = false;
};

inline constexpr const char* usage =
    "Usage: iotsl-device run --server HOST:PORT --name NAME --dataset SET [options]\n"
    "\n"
    "Trains the front of a split network on this device's own samples, and before that, where\n"
    "the run is one of method iotsl, a generator of them. Model, cut, batch, optimizer and number\n"
    "of epochs come from the server.\n"
    "\n"
    "  --server HOST:PORT   the server to join\n"
    "  --name NAME          this device's name in the reports\n"
    "  --dataset SET        mnist, fashion-mnist, glyphs (built in, needs no files) or packed\n"
    "                       (images that iotsl data pack has decoded)\n"
    "  --data DIR           folder with the data files or its parent; else $IOTSL_DATA, else "
    "./data\n"
    "  --manifest FILE      which samples belong to which device; without it: all samples\n"
    "  --index I            this device's place in the manifest and in the order of turns, from 0\n"
    "  --state DIR          keep the training of this device's generator here (method iotsl), so that\n"
    "                       it goes on after a stop\n"
    "  --generator FILE     send this generator, from iotsl gan train, instead of training one\n"
    "  --private            share a private generator only: a run that asks for another is left, and\n"
    "                       nothing else that is sent before the turns depends on the samples'\n"
    "                       content; needs --state, where the ledger of all releases is kept\n"
    "  --max-epsilon E      release nothing where all releases of the ledger would exceed it\n"
    "  --new-data           no sample is one of an earlier release: these no longer count\n"
    "  --generator-only     refuse whatever would send features of the samples: nothing but the\n"
    "                       generator leaves this device\n"
    "  --threads T          threads to compute with; default: all cores\n"
    "  --wait SECONDS       how long to try while the server does not answer; default 60\n"
    "  --reconnect SECONDS  how long to try once the run has begun; default: for ever\n"
    "  --with-parent        end with the program that has started this one\n"
    "  --insecure           allow a server that is not on this machine (nothing is encrypted)\n"
    "  --help, --version\n"
    "\n"
    "Exit codes: 0 the run is complete, 1 other error, 2 usage, 3 network, 4 data, 5 stopped and\n"
    "can go on.\n";

namespace detail {

inline Result<int> parse_number(std::string_view option, std::string_view text, int least,
                                int most) {
  int value = 0;
  bool good = !text.empty() && text.size() <= 7;
  for (char c : text) {
    good = good && c >= '0' && c <= '9';
    if (good) value = value * 10 + (c - '0');
  }
  if (!good || value < least || value > most)
    return failure(ErrorCode::usage, option, " ", text, ": expected a number from ", least, " to ",
                   most);
  return value;
}

inline Result<double> parse_positive(std::string_view option, std::string_view text) {
  const std::string digits(text);
  char* end = nullptr;
  const double value = std::strtod(digits.c_str(), &end);
  if (digits.empty() || *end != 0 || !(value > 0 && value <= 1e12))
    return failure(ErrorCode::usage, option, " ", text,
                   ": expected a number above 0, at most 1e+12");
  return value;
}

inline std::string* text_option(Options& o, std::string_view option) {
  if (option == "--server") return &o.server;
  if (option == "--name") return &o.name;
  if (option == "--dataset") return &o.dataset;
  if (option == "--data") return &o.data;
  if (option == "--manifest") return &o.manifest;
  if (option == "--state") return &o.state;
  if (option == "--generator") return &o.generator;
  return nullptr;
}
inline int* number_option(Options& o, std::string_view option) {
  if (option == "--index") return &o.index;
  if (option == "--threads") return &o.threads;
  if (option == "--wait") return &o.wait_seconds;
  if (option == "--reconnect") return &o.reconnect_seconds;
  return nullptr;
}
inline bool* switch_option(Options& o, std::string_view option) {
  if (option == "--help" || option == "-h") return &o.help;
  if (option == "--version") return &o.version;
  if (option == "--insecure") return &o.insecure;
  if (option == "--with-parent") return &o.with_parent;
  if (option == "--private") return &o.private_only;
  if (option == "--generator-only") return &o.generator_only;
  if (option == "--new-data") return &o.new_data;
  return nullptr;
}

/// Stores the option `--name VALUE` or `--name=VALUE` that begins at `at`, which is left at its
/// last argument.
IOTSL_SMALL inline Result<void> parse_valued(Options& out, int argc, char** argv, int& at) {
  std::string_view option = argv[at], value;
  const std::size_t equals = option.find('=');
  const bool joined = equals != std::string_view::npos;
  if (joined) {
    value = option.substr(equals + 1);
    option = option.substr(0, equals);
  }
  std::string* text = text_option(out, option);
  int* number = number_option(out, option);
  double* real = option == "--max-epsilon" ? &out.max_epsilon : nullptr;
  if (text == nullptr && number == nullptr && real == nullptr)
    return failure(ErrorCode::usage, "unknown argument '", option, "'; see iotsl-device --help");
  if (!joined) {
    if (at + 1 == argc) return failure(ErrorCode::usage, option, " needs a value");
    value = argv[++at];
  }
  if (text != nullptr) {
    *text = value;
    return {};
  }
  if (real != nullptr) {
    const Result<double> parsed = parse_positive(option, value);
    if (!parsed) return parsed.failure();
    *real = *parsed;
    return {};
  }
  const Result<int> parsed = parse_number(option, value, option == "--index" ? 0 : 1, 1000000);
  if (!parsed) return parsed.failure();
  *number = *parsed;
  return {};
}

/// What is missing from the command line, or does not go together.
IOTSL_SMALL inline Result<void> check_options(const Options& o) {
  const auto missing = [](const char* option) {
    return failure(ErrorCode::usage, option, " is missing; see iotsl-device --help");
  };
  if (o.server.empty()) return missing("--server");
  if (o.name.empty()) return missing("--name");
  if (o.dataset.empty()) return missing("--dataset");
  if (o.name.size() > net::max_name_bytes)
    return failure(ErrorCode::usage, "--name has ", o.name.size(), " bytes, limit ",
                   net::max_name_bytes);
  if (!is_printable(o.name))
    return failure(ErrorCode::usage, "--name ", make_printable(o.name),
                   ": expected one line of UTF-8 without control characters");
  if (o.private_only && o.state.empty())
    return failure(ErrorCode::usage, "--private needs --state DIR, where the ledger is kept");
  if (!o.private_only && (o.max_epsilon > 0 || o.new_data))
    return failure(ErrorCode::usage, o.new_data ? "--new-data" : "--max-epsilon",
                   " needs --private");
  if (!o.manifest.empty() && o.index < 0)
    return failure(ErrorCode::usage, "--manifest needs --index");
  return {};
}

}  // namespace detail

/// Reads the command line; the failure names the option and what it expects.
IOTSL_SMALL inline Result<Options> parse_options(int argc, char** argv) {
  Options out;
  bool run = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    if (option == "run" && !run) {
      run = true;
      continue;
    }
    if (bool* chosen = detail::switch_option(out, option)) {
      *chosen = true;
      if (out.help || out.version) return out;
      continue;
    }
    const Result<void> stored = detail::parse_valued(out, argc, argv, i);
    if (!stored) return stored.failure();
  }
  if (!run)
    return failure(ErrorCode::usage, "the subcommand 'run' is missing; see iotsl-device --help");
  const Result<void> good = detail::check_options(out);
  if (!good) return good.failure();
  return out;
}

}  // namespace iotsl::device
