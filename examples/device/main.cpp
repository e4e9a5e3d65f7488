// iotsl-device: one device of a split-learning run.

#include <sys/prctl.h>

#include <cstdio>

#include "iotsl/data/manifest.hpp"
#include "iotsl/data/source.hpp"
#include "iotsl/measure/energy/meter.hpp"
#include "iotsl/net/channel_enroll.hpp"
#include "iotsl/net/channel_leave.hpp"
#include "iotsl/privacy/data_id.hpp"
#include "iotsl/split/device/device_tcp.hpp"
#include "options.hpp"
#include "support/exit_code.hpp"
#include "support/service_manager.hpp"
#include "support/standard_output.hpp"
#include "support/stop_signals.hpp"
#include "support/wait_policy.hpp"

namespace iotsl::device {
namespace {

std::atomic<bool> pause_requested{false};

/// While the data is read nothing has to be finished.
void stop_while_loading(int) {
  stop_at_once("iotsl-device: stopped before it has joined; started again, it does\n");
}

void stop_after_step(int) {
  pause_requested.store(true);
  end_at_next_signal();
}

/// Between two pieces of work.
void tell_progress() {
  service_manager().progress();
  if (pause_requested.load()) service_manager().stopping();
}

/// This device's samples, and their numbers in the whole set.
struct LocalData {
  data::Dataset set;
  std::vector<Index> numbers;
};

IOTSL_SMALL Result<LocalData> load_data(const Options& options) {
  LocalData out;
  if (options.manifest.empty()) {
    auto set = data::load_dataset(options.dataset, options.data, data::Split::train);
    if (!set) return set.failure();
    out.numbers = data::count_up(set->size());
    out.set = std::move(*set);
    return out;
  }
  auto manifest = data::load_manifest(options.manifest);
  if (!manifest) return manifest.failure();
  if (options.index >= static_cast<int>(manifest->devices.size()))
    return failure(ErrorCode::data, options.manifest, ": has no device ", options.index,
                   ", only 0 to ", manifest->devices.size() - 1);
  out.numbers = manifest->devices[static_cast<std::size_t>(options.index)];
  // Only this device's samples are kept.
  auto set = data::load_dataset(options.dataset, options.data, data::Split::train, &out.numbers);
  if (!set) return set.failure();
  const auto checked = data::check_manifest(*manifest, *set, options.index);
  if (!checked) return failure(ErrorCode::data, options.manifest, ": ", checked.failure().message);
  out.set = std::move(*set);
  return out;
}

/// Looks at the files that a run will need, before anybody waits for this device.
IOTSL_SMALL Result<void> check_files(const Options& options, const LocalData& local,
                                     const std::vector<std::uint64_t>& label_counts) {
  if (!options.state.empty()) {
    const Result<void> made = create_folders(options.state);
    if (!made) return failure(ErrorCode::usage, "--state: ", made.failure().message);
    if (::access(options.state.c_str(), W_OK | X_OK) != 0)
      return failure(ErrorCode::usage, "--state ", options.state, ": no permission to write to it");
  }
  if (options.generator.empty()) return {};
  const auto file = generators::load_generator(options.generator);
  if (!file) return failure(file.failure().code, "--generator: ", file.failure().message);
  const Result<void> fits =
      generators::check_generator_fits(*file, gan::image_spec(local.set), label_counts);
  if (!fits)
    return failure(fits.failure().code, "--generator ", options.generator, ": ",
                   fits.failure().message);
  const std::string differs =
      generators::generator_differences(file->card, local.set.name, label_counts);
  if (!differs.empty())
    std::fprintf(stderr, "iotsl-device: --generator %s: it %s\n", options.generator.c_str(),
                 differs.c_str());
  return {};
}

/// The key of this device, where it has one; its name and server, where they are not given.
IOTSL_SMALL Result<std::optional<net::DeviceCredentials>> open_identity(Options& options) {
  if (!options.protection.uses_tls()) return std::optional<net::DeviceCredentials>();
  Result<net::DeviceCredentials> own = net::DeviceCredentials::open(options.protection.identity);
  if (!own) return own.failure();
  if (options.name.empty()) options.name = own->name();
  if (options.name != own->name())
    return failure(ErrorCode::usage, "--name ", options.name, ": the key in --identity ",
                   options.protection.identity, " is enrolled as '", own->name(), "'");
  if (options.server.empty()) options.server = to_string(own->server());
  return std::optional<net::DeviceCredentials>(std::move(*own));
}

Result<net::Address> server_of(const Options& options) {
  Result<net::Address> server = net::parse_address(options.server);
  if (!server) return failure(ErrorCode::usage, "--server: ", server.failure().message);
  return server;
}

IOTSL_SMALL Result<split::DeviceSummary> run(Options& options) {
  auto own = open_identity(options);
  if (!own) return own.failure();
  const auto server = server_of(options);
  if (!server) return server.failure();
  if (options.threads > 0) set_threads(options.threads);
  on_stop_signals(stop_while_loading);
  auto local = load_data(options);
  if (!local) return local.failure();
  on_stop_signals(stop_after_step);
  const std::vector<Index> samples = data::count_up(local->set.size());
  const std::vector<std::uint64_t> label_counts = data::count_labels(local->set, samples);
  const Result<void> usable = check_files(options, *local, label_counts);
  if (!usable) return usable.failure();
  split::DeviceOptions device;
  device.server = *server;
  if (*own) device.credentials = &**own;
  device.pause_requested = device.connect.stop = &pause_requested;
  device.connect.off_loopback = options.protection.insecure;
  device.connect.total_limit = options.wait_seconds * net::second_us;
  if (options.reconnect_seconds > 0)
    device.reconnect_limit = options.reconnect_seconds * net::second_us;
  device.on_note = [](const std::string& text) {
    std::fprintf(stderr, "iotsl-device: %s\n", text.c_str());
    service_manager().status(text);
  };
  device.on_progress = tell_progress;
  device.files.state = options.state;
  device.files.generator = options.generator;
  device.files.private_only = options.private_only;
  device.files.new_data = options.new_data;
  if (options.max_epsilon > 0) device.files.max_epsilon = options.max_epsilon;
  if (options.private_only) device.files.keep_ledger_in_state();
  split::DeviceIdentity& identity = device.identity;
  identity.name = options.name;
  if (options.index >= 0) identity.index = static_cast<std::uint32_t>(options.index);
  // The clock and the process number: only to tell one start of this program from another.
  identity.boot_nonce = static_cast<std::uint64_t>(net::steady_now()) * 65537 +
                        static_cast<std::uint64_t>(::getpid());
  device.connect.jitter_seed = identity.boot_nonce;
  identity.dataset = local->set.name;
  identity.label_counts = label_counts;
  identity.generator_only = options.generator_only;
  identity.data_fingerprint = data::fingerprint(local->set.sha256, local->numbers);
  if (options.private_only) {
    // The fingerprint would tell who knows all samples but one which that is.
    const auto id = privacy::data_id(options.state, identity.data_fingerprint);
    if (!id) return id.failure();
    identity.data_fingerprint = *id;
  }
  if (options.protection.insecure)
    std::fprintf(stderr,
                 "%s: insecure: labels and activations travel unencrypted, and the server "
                 "is not verified\n",
                 options.name.c_str());
  service_manager().ready();
  service_manager().status(concat("looking for the server ", options.server));
  return split::run_device(device, local->set, samples);
}

/// The meter of --meter, begun; null where there shall be none.
IOTSL_SMALL Result<std::unique_ptr<measure::EnergyMeter>> start_meter(const Options& options) {
  using Meter = std::unique_ptr<measure::EnergyMeter>;
  const Result<measure::MeterChoice> choice = measure::parse_meter(options.meter);
  if (!choice) return failure(ErrorCode::usage, "--meter: ", choice.failure().message);
  if (choice->kind == "off") return Meter();
  auto reader = measure::EnergyReader::open(*choice, options.meter_root);
  if (!reader)
    return failure(ErrorCode::usage, "--meter ", options.meter, ": ", reader.failure().message);
  return measure::EnergyMeter::start(std::move(*reader));
}

/// What it has measured, from the beginning of the program's work, waiting included.
IOTSL_SMALL void print_energy(const Options& options, measure::EnergyMeter& meter) {
  const Result<measure::Energy> energy = meter.finish();
  if (energy)
    std::printf("%s: %.1f J in %.1f s, %.2f W on average, %s\n", options.name.c_str(),
                energy->joules, energy->seconds, energy->mean_watts(), energy->origin.c_str());
  else
    std::fprintf(stderr, "iotsl-device: --meter: %s\n", energy.failure().message.c_str());
}

/// Makes a key and shows the server the token.
IOTSL_SMALL Result<std::string> enroll(const Options& options) {
  constexpr std::uint64_t max_token_bytes = 4096;
  const Result<std::string> line = read_text_file(
      options.token_file.empty() ? "/dev/stdin" : options.token_file, max_token_bytes);
  if (!line) return failure(ErrorCode::usage, "token: ", line.failure().message);
  const Result<net::EnrollToken> token = net::parse_token(*line);
  if (!token) return token.failure();
  net::ConnectOptions connect;
  connect.total_limit = options.wait_seconds * net::second_us;
  connect.jitter_seed = static_cast<std::uint64_t>(net::steady_now());
  return net::enroll_device(options.protection.identity, *token, connect);
}

/// Takes the device out of its run for good; its place there.
IOTSL_SMALL Result<std::uint32_t> leave(Options& options) {
  auto own = open_identity(options);
  if (!own) return own.failure();
  const auto server = server_of(options);
  if (!server) return server.failure();
  net::LeaveOptions leaving;
  leaving.server = *server;
  leaving.name = options.name;
  if (*own) leaving.credentials = &**own;
  leaving.connect.off_loopback = options.protection.insecure;
  leaving.connect.total_limit = options.wait_seconds * net::second_us;
  leaving.connect.jitter_seed = static_cast<std::uint64_t>(net::steady_now());
  return net::leave_run(leaving);
}

int report(const Failure& why) {
  std::fprintf(stderr, "iotsl-device: %s\n", why.message.c_str());
  return exit_code(why.code);
}

IOTSL_SMALL int run_program(int argc, char** argv) {
  Result<Options> options = parse_options(argc, argv);
  if (!options) return report(options.failure());
  if (options->help) {
    std::fputs(usage, stdout);
    return 0;
  }
  if (options->version) {
    std::puts("iotsl-device " IOTSL_VERSION_STRING);
    return 0;
  }
  ::signal(SIGPIPE, SIG_IGN);  // a lost peer is an error code of write, not the end of the program
  if (options->command == Options::Command::enroll) {
    const Result<std::string> name = enroll(*options);
    if (!name) return report(name.failure());
    std::printf("enrolled as %s; the key is in %s\n", name->c_str(),
                options->protection.identity.c_str());
    return 0;
  }
  if (options->command == Options::Command::leave) {
    const Result<std::uint32_t> place = leave(*options);
    if (!place) return report(place.failure());
    std::printf("%s has left the run for good; its place %u is free for another device\n",
                options->name.c_str(), *place);
    return 0;
  }
  if (options->with_parent) ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const auto meter = start_meter(*options);
  if (!meter) return report(meter.failure());
  const auto done = run(*options);
  if (*meter) print_energy(*options, **meter);
  if (!done) return report(done.failure());
  if (!done->complete)
    return report(failure(ErrorCode::stopped, "stopped after step ", done->steps,
                          " of the run; started again, it goes on"));
  std::printf(
      "%s: done after step %llu of the run, %.1f MB up, %.1f MB down, peak memory %.1f MB\n",
      options->name.c_str(), static_cast<unsigned long long>(done->steps),
      static_cast<double>(done->bytes_up) * 1e-6, static_cast<double>(done->bytes_down) * 1e-6,
      static_cast<double>(done->peak_memory_bytes) * 1e-6);
  return 0;
}

}  // namespace
}  // namespace iotsl::device

int main(int argc, char** argv) {
  iotsl::restart_with_short_waits(argv);
#if IOTSL_EXCEPTIONS
  try {
    return iotsl::finish_output("iotsl-device", iotsl::device::run_program(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "iotsl-device: %s\n", error.what());
    return 1;
  }
#else
  return iotsl::finish_output("iotsl-device", iotsl::device::run_program(argc, argv));
#endif
}
