#pragma once
// The options of iotsl-device.

#include <string>
#include <string_view>

#include "iotsl/net/identity/protection.hpp"
#include "iotsl/net/messages/run_description.hpp"
#include "support/option_slots.hpp"

namespace iotsl::device {

struct Options {
  enum class Command { none, run, enroll, leave };
  Command command = Command::none;
  net::ProtectionOptions protection = {};
  std::string server, name, dataset, data, manifest, state, generator, token_file;
  std::string meter = "off", meter_root = "/";
  int index = -1;   ///< -1: the server chooses
  int threads = 0;  ///< 0: all cores
  int wait_seconds = 60;
  int reconnect_seconds = 0;  ///< 0: for ever
  double max_epsilon = 0;     ///< 0: no limit of the owner's
  bool private_only = false, generator_only = false, new_data = false;
  bool with_parent = false;
  bool help = false, version = false;
};

inline constexpr const char* usage =
    "Usage: iotsl-device run --server HOST:PORT --name NAME --dataset SET [options]\n"
    "       iotsl-device run --identity DIR --dataset SET [options]\n"
    "       iotsl-device leave --server HOST:PORT --name NAME\n"
    "       iotsl-device leave --identity DIR\n"
    "       iotsl-device enroll --identity DIR [--token-file FILE]\n"
    "\n"
    "Trains the front of a split network on this device's own samples, and before that, where\n"
    "the run is one of method iotsl, a generator of them. Model, cut, batch, optimizer and number\n"
    "of epochs come from the server. leave takes this device out of its run for good, whether it\n"
    "trains or not: nobody waits for it, and another may have its place. enroll makes this device's\n"
    "key and has it put on the server's list, with a token from iotsl device add; a second time it\n"
    "replaces the key.\n"
    "\n"
    "  --identity DIR       folder of this device's key and of the server's pin: TLS; name and server\n"
    "                       are then those of the enrolment unless given\n"
    "  --token-file FILE    enroll: the token; default: standard input\n"
    "  --tls                refuse plain TCP to a server on this machine, too; needs --identity\n"
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
    "  --meter METER        measure this device's joules meanwhile and say them at the end: ina or\n"
    "                       ina:hwmonN (a sensor in its supply), pmic (Raspberry Pi 5), rapl (PC),\n"
    "                       auto; default: off\n"
    "  --meter-root DIR     look for sys/ and usr/bin/vcgencmd of the meter below DIR; default: /\n"
    "  --with-parent        end with the program that has started this one\n"
    "  --insecure           allow a server that is not on this machine (nothing is encrypted)\n"
    "  --help, --version\n"
    "\n"
    "Exit codes: 0 the run is complete, 1 other error, 2 usage, 3 network, 4 data, 5 stopped and\n"
    "can go on.\n";

namespace detail {

/// What is missing from the command line, or does not go together.
IOTSL_SMALL inline Result<void> check_options(const Options& o) {
  const auto missing = [](const char* option) {
    return failure(ErrorCode::usage, option, " is missing; see iotsl-device --help");
  };
  const Result<void> protection = net::check_protection(o.protection);
  if (!protection) return protection;
  const bool enrolled = o.protection.uses_tls();
  if (o.command == Options::Command::enroll)
    return enrolled ? Result<void>{} : missing("--identity");
  if (!o.token_file.empty()) return failure(ErrorCode::usage, "--token-file is for enroll");
  if (o.server.empty() && !enrolled) return missing("--server or --identity");
  if (o.name.empty() && !enrolled) return missing("--name");
  if (o.dataset.empty() && o.command == Options::Command::run) return missing("--dataset");
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
  OptionSlot slots[] = {
      {"--help", &out.help},
      {"-h", &out.help},
      {"--version", &out.version},
      {"--server", &out.server},
      {"--name", &out.name},
      {"--dataset", &out.dataset},
      {"--data", &out.data},
      {"--manifest", &out.manifest},
      {"--index", &out.index, 0},
      {"--state", &out.state},
      {"--generator", &out.generator},
      {"--private", &out.private_only},
      {"--max-epsilon", &out.max_epsilon},
      {"--new-data", &out.new_data},
      {"--generator-only", &out.generator_only},
      {"--threads", &out.threads},
      {"--wait", &out.wait_seconds},
      {"--reconnect", &out.reconnect_seconds},
      {"--meter", &out.meter},
      {"--meter-root", &out.meter_root},
      {"--with-parent", &out.with_parent},
      {"--identity", &out.protection.identity},
      {"--token-file", &out.token_file},
      {"--tls", &out.protection.tls},
      {"--insecure", &out.protection.insecure},
  };
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (out.command == Options::Command::none) {
      if (word == "run") out.command = Options::Command::run;
      if (word == "enroll") out.command = Options::Command::enroll;
      if (word == "leave") out.command = Options::Command::leave;
      if (out.command != Options::Command::none) continue;
    }
    const Result<void> stored = parse_option(slots, "iotsl-device", argc, argv, i);
    if (!stored) return stored.failure();
    if (out.help || out.version) return out;
  }
  if (out.command == Options::Command::none)
    return failure(ErrorCode::usage,
                   "the subcommand 'run', 'leave' or 'enroll' is missing; see iotsl-device --help");
  const Result<void> good = detail::check_options(out);
  if (!good) return good.failure();
  return out;
}

}  // namespace iotsl::device
