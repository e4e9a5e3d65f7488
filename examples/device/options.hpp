#pragma once
// The options of iotsl-device. A small parser of our own: the program must stay below 1 MB.

#include <string>
#include <string_view>

#include "iotsl/net/channel.hpp"

namespace iotsl::device {

struct Options {
  std::string server, name, dataset, data, manifest, state, generator;
  int index = -1;   ///< -1: the server chooses
  int threads = 0;  ///< 0: all cores
  int wait_seconds = 60;
  int reconnect_seconds = 0;  ///< 0: for ever
  bool insecure = false;
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
    "  --threads T          threads to compute with; default: all cores\n"
    "  --wait SECONDS       how long to try while the server does not answer; default 60\n"
    "  --reconnect SECONDS  how long to try once the run has begun; default: for ever\n"
    "  --with-parent        end with the program that has started this one\n"
    "  --insecure           allow a server that is not on this machine (nothing is encrypted)\n"
    "  --help, --version\n"
    "\n"
    "Exit codes: 0 the run is complete, 1 other error, 2 usage, 3 network, 4 data.\n";

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

}  // namespace detail

/// Reads the command line; the failure names the option and what it expects.
inline Result<Options> parse_options(int argc, char** argv) {
  Options out;
  bool run = false;
  const auto text_of = [&out](std::string_view option) -> std::string* {
    if (option == "--server") return &out.server;
    if (option == "--name") return &out.name;
    if (option == "--dataset") return &out.dataset;
    if (option == "--data") return &out.data;
    if (option == "--manifest") return &out.manifest;
    if (option == "--state") return &out.state;
    if (option == "--generator") return &out.generator;
    return nullptr;
  };
  const auto number_of = [&out](std::string_view option) -> int* {
    if (option == "--index") return &out.index;
    if (option == "--threads") return &out.threads;
    if (option == "--wait") return &out.wait_seconds;
    if (option == "--reconnect") return &out.reconnect_seconds;
    return nullptr;
  };
  for (int i = 1; i < argc; ++i) {
    std::string_view option = argv[i];
    if (option == "run" && !run) {
      run = true;
      continue;
    }
    if (option == "--help" || option == "-h") {
      out.help = true;
      return out;
    }
    if (option == "--version") {
      out.version = true;
      return out;
    }
    if (option == "--insecure" || option == "--with-parent") {
      (option == "--insecure" ? out.insecure : out.with_parent) = true;
      continue;
    }
    std::string_view value;
    const std::size_t equals = option.find('=');
    const bool joined = equals != std::string_view::npos;
    if (joined) {
      value = option.substr(equals + 1);
      option = option.substr(0, equals);
    }
    std::string* text = text_of(option);
    int* number = number_of(option);
    if (text == nullptr && number == nullptr)
      return failure(ErrorCode::usage, "unknown argument '", option, "'; see iotsl-device --help");
    if (!joined) {
      if (i + 1 == argc) return failure(ErrorCode::usage, option, " needs a value");
      value = argv[++i];
    }
    if (text != nullptr) {
      *text = value;
      continue;
    }
    const int least = option == "--index" ? 0 : 1;
    const Result<int> parsed = detail::parse_number(option, value, least, 1000000);
    if (!parsed) return parsed.failure();
    *number = *parsed;
  }
  const auto missing = [](const char* option) {
    return failure(ErrorCode::usage, option, " is missing; see iotsl-device --help");
  };
  if (!run) return missing("the subcommand 'run'");
  if (out.server.empty()) return missing("--server");
  if (out.name.empty()) return missing("--name");
  if (out.dataset.empty()) return missing("--dataset");
  if (out.name.size() > net::max_name_bytes)
    return failure(ErrorCode::usage, "--name has ", out.name.size(), " bytes, limit ",
                   net::max_name_bytes);
  if (!out.manifest.empty() && out.index < 0)
    return failure(ErrorCode::usage, "--manifest needs --index");
  return out;
}

}  // namespace iotsl::device
