// iotsl device: whose keys a server accepts, and which devices of a run may come back to it. The
// server may be running: it takes changes up within a second.

#include <algorithm>
#include <cstdio>
#include <memory>

#include "host/commands/command.hpp"
#include "host/options/output_file.hpp"
#include "host/report/device_command.hpp"
#include "iotsl/core/files/file.hpp"
#include "iotsl/net/identity/server_credentials.hpp"
#include "iotsl/split/records/checkpoint.hpp"
#include "iotsl/split/records/quarantine_file.hpp"

namespace iotsl::tool {
namespace {

struct KeyCommandOptions {
  std::string identity, name, server, out;
  bool now = false;
};

net::ServerCredentials open_credentials(const KeyCommandOptions& options) {
  return expect(net::ServerCredentials::open(options.identity));
}

/// For what only a server that has been set up can be asked: a folder by a wrong name is not made
/// into another server's.
void need_credentials(const KeyCommandOptions& options) {
  if (!net::ServerCredentials::are_in(options.identity))
    fail_command(ErrorCode::usage, "--identity ", options.identity,
                 ": no server has its key there; `iotsl device add` and `iotsl server` make one");
}

/// Where devices reach the server.
net::Address server_address(const KeyCommandOptions& options) {
  if (options.server.empty()) return reachable_addresses({"0.0.0.0", 7400}).front();
  const auto address = net::parse_address(options.server);
  if (!address) fail_command(ErrorCode::usage, "--server: ", address.failure().message);
  if (address->port == 0)
    fail_command(ErrorCode::usage, "--server ", options.server,
                 ": nobody can be reached at port 0; expected the port that the server listens on");
  return *address;
}

/// A token goes to standard output or to a file that nobody else can read.
void print_token(const KeyCommandOptions& options, const net::EnrollToken& token) {
  const std::string line = to_text(token) + "\n";
  if (options.out.empty()) {
    std::fputs(line.c_str(), stdout);
  } else {
    const ByteSpan bytes = bytes_of(line);
    expect(write_file_atomic(options.out, std::span<const ByteSpan>(&bytes, 1), 0600));
  }
  std::fprintf(stderr,
               "iotsl: a token for %s, good once, for the server at %s: it is a secret. On the "
               "device, while the server runs:\n  iotsl-device enroll --identity identity%s\n",
               options.name.c_str(), to_string(token.server).c_str(),
               options.out.empty() ? "" : " --token-file FILE");
}

/// An older token may be replaced, another file may not.
void check_token_file(const std::string& path) {
  check_output(path, true);
  if (file_exists(path) && !std::string_view(read_beginning(path)).starts_with(net::token_begin))
    fail_command(ErrorCode::usage, "--out ", path,
                 ": is there and holds no token; nothing is replaced");
}

template <class Apply>
void change_with_token(const KeyCommandOptions& options, const Apply& apply) {
  const net::Address server = server_address(options);
  if (!options.out.empty()) check_token_file(options.out);
  net::ServerCredentials credentials = open_credentials(options);
  const net::EnrollToken token{server, credentials.pin(), expect(net::new_enroll_secret())};
  expect(credentials.change(
      [&](net::AllowList& list) -> Result<void> { return apply(list, token.secret); }));
  print_token(options, token);
}

void add(const KeyCommandOptions& options) {
  change_with_token(options, [&](net::AllowList& list, const net::EnrollSecret& secret) {
    return list.add(options.name, secret);
  });
}
void rotate(const KeyCommandOptions& options) {
  change_with_token(options, [&](net::AllowList& list, const net::EnrollSecret& secret) {
    return list.rotate(options.name, secret);
  });
}
void revoke(const KeyCommandOptions& options) {
  expect(open_credentials(options).change(
      [&](net::AllowList& list) { return list.revoke(options.name); }));
  std::fprintf(
      stderr,
      "iotsl: no key of %s is accepted any more; a run that it has a place in waits for it "
      "as for any device that is away, unless `iotsl device leave %s --run RUN` lets it "
      "leave\n",
      options.name.c_str(), options.name.c_str());
}
/// The key that is to follow, and whom it waits for.
void print_next_key(const net::ServerCredentials& credentials) {
  const net::Pin& next = credentials.next_pin().value();
  std::string waits;
  for (const std::string& name : credentials.list().strangers_to(next))
    waits += concat(waits.empty() ? "" : ", ", name);
  std::fprintf(
      stderr,
      "iotsl: its next key is %s: the server tells it to each device that is here or comes, "
      "and takes it once all know it; it waits for %s\n",
      net::short_text(next).c_str(), waits.empty() ? "nobody" : waits.c_str());
}
void list(const KeyCommandOptions& options) {
  const net::ServerCredentials credentials = open_credentials(options);
  for (const net::ListedDevice& device : credentials.list().devices()) {
    std::printf("%-20s %-10s", device.name.c_str(), device.state());
    for (const net::Pin& pin : device.pins) std::printf(" %s", net::short_text(pin).c_str());
    std::printf("\n");
  }
  std::fprintf(stderr, "iotsl: this server's key is %s\n",
               net::short_text(credentials.pin()).c_str());
  if (credentials.next_pin()) print_next_key(credentials);
}
/// Begins to give the server another key; it takes it by itself once its devices know it.
void rotate_server(const KeyCommandOptions& options) {
  net::ServerCredentials credentials = open_credentials(options);
  expect(credentials.prepare_next_key());
  const std::vector<std::string> strangers =
      credentials.list().strangers_to(credentials.next_pin().value());
  if (!expect(credentials.take_next_key(options.now))) return print_next_key(credentials);
  std::fprintf(stderr, "iotsl: this server's key is %s from now on\n",
               net::short_text(credentials.pin()).c_str());
  for (const std::string& name : strangers)
    std::fprintf(stderr, "iotsl: %s does not know it: it needs another token, to enrol once more\n",
                 name.c_str());
}

struct DeviceOfRun {
  std::string name, run;
};

/// A command about a device of a run.
template <class Apply>
void add_run_command(CLI::App& device, const char* name, const char* help, const Apply& apply) {
  auto options = std::make_shared<DeviceOfRun>();
  CLI::App* command = device.add_subcommand(name, help);
  command->add_option("name", options->name, "The device")->required();
  command->add_option("--run", options->run, "The run's folder")->required();
  command->callback([options, apply] { apply(*options); });
}

void add_leave_command(CLI::App& device) {
  constexpr const char* help =
      "Let a device leave a run for good: the run waits for it no more, and another device may "
      "take its place";
  add_run_command(device, "leave", help, [](const DeviceOfRun& options) {
    if (!expect(split::has_begun(options.run)))
      fail_command(ErrorCode::usage, "--run ", options.run, ": no run has begun there");
    const split::RunNumbers numbers = expect(split::read_run_numbers(options.run));
    const std::vector<std::string>& places = numbers.places;
    std::string known;
    for (const std::string& name : places)
      if (!name.empty()) known += (known.empty() ? "" : ", ") + name;
    if (!known.empty() && std::find(places.begin(), places.end(), options.name) == places.end())
      fail_command(ErrorCode::usage, "device '", make_printable(options.name),
                   "' has no place in the run ", options.run, "; these have: ", known);
    expect(split::let_device_leave(options.run, options.name));
    std::fprintf(stderr,
                 "iotsl: %s leaves the run in %s: its server says so within a second, or when it "
                 "starts again\n",
                 options.name.c_str(), options.run.c_str());
  });
}

void add_release_command(CLI::App& device) {
  constexpr const char* help =
      "Let a device come back to a run in which it has failed, or which it has left";
  add_run_command(device, "release", help, [](const DeviceOfRun& options) {
    if (!file_exists(join_path(options.run, split::quarantine_name)))
      fail_command(ErrorCode::usage, "--run ", options.run,
                   ": no device has failed in a run there or left it, ", split::quarantine_name,
                   " is missing");
    const bool stays =
        expect(split::release_device(options.run, options.name)) == split::Released::stays;
    std::fprintf(stderr, "iotsl: %s %s %s%s\n", options.name.c_str(),
                 stays ? "does not leave the run in" : "is released from quarantine in",
                 options.run.c_str(), stays ? "" : "; start it again, and its place is there");
  });
}

}  // namespace

void add_device_command(CLI::App& app) {
  auto options = std::make_shared<KeyCommandOptions>();
  CLI::App* device = app.add_subcommand(
      "device", "Which devices a server lets in, by their keys, and back after a failure");
  device->require_subcommand(1);
  const auto command = [&](const char* name, const char* help,
                           void (*run)(const KeyCommandOptions&), bool makes = false) {
    CLI::App* out = device->add_subcommand(name, help);
    out->add_option("--identity", options->identity,
                    "The server's folder, with its key and the list; add makes it where it is "
                    "missing")
        ->required();
    out->callback([options, run, makes] {
      if (!makes) need_credentials(*options);
      run(*options);
    });
    return out;
  };
  const auto with_name = [&](CLI::App* out) {
    out->add_option("name", options->name, "The device")->required();
    return out;
  };
  const auto with_token = [&](CLI::App* out) {
    out->add_option("--server", options->server,
                    "HOST:PORT under which the device reaches the server; default: this machine's "
                    "first address, port 7400");
    out->add_option("--out", options->out,
                    "File for the token, readable by its owner only; default: standard output");
  };
  with_token(
      with_name(command("add", "Print a token with which one device enrols its key", &add, true)));
  with_token(with_name(
      command("rotate", "Print a token for another key of a device; the old one works until then",
              &rotate)));
  with_name(
      command("revoke", "Accept no key of a device any more; its session is closed", &revoke));
  command("list", "Devices, what they are, and the first digits of their keys' pins", &list);
  command(
      "rotate-server",
      "Give the server another key: a running server tells its devices and takes it once all of "
      "them know it",
      &rotate_server)
      ->add_flag("--now", options->now,
                 "Take it at once; devices that do not know it have to be enrolled again");
  add_leave_command(*device);
  add_release_command(*device);
}

}  // namespace iotsl::tool
