#pragma once
// A device's part of a run over TCP, in one thread: it polls its socket between batches and says so
// before longer work. A lost connection is made again; the turn in hand goes on where it stood.

#include "iotsl/net/channel.hpp"
#include "iotsl/split/device/carry_out.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

struct DeviceOptions {
  net::Address server;
  DeviceIdentity identity;
  net::ConnectOptions connect;
  /// How long to try to come back after JOIN_OK; before it the limit is that of `connect`.
  net::Microseconds reconnect_limit = net::for_ever;
  DeviceFiles files;  ///< the fingerprint is taken from `identity`
  /// The types of layer that a front may be made of; a program with own layers adds them.
  LayerTypes<float> layers = StandardLayers<float>::types<float>();
  /// Set by a signal: finish the step and say BYE. A later start may go on with the run.
  const std::atomic<bool>* pause_requested = nullptr;
  /// A line for the user: joined, its turn, waiting, lost, back; may be null.
  void (*on_note)(const std::string& text) = nullptr;
};

struct DeviceSummary {
  std::uint64_t steps = 0;  ///< last step of the run that this device applied
  std::uint64_t bytes_up = 0, bytes_down = 0;
  std::uint64_t peak_memory_bytes = 0;
  bool complete = false;  ///< the run is over; otherwise this device was stopped, and may go on
};

namespace detail {

/// One connection of a device with its buffers.
class DeviceConnection {
 public:
  DeviceConnection(net::Channel channel, DeviceMachine& machine, DeviceWork& work,
                   const DeviceOptions& options)
      : channel_(std::move(channel)),
        link_(net::LinkOptions{}, net::steady_now()),
        machine_(machine),
        work_(work),
        pause_requested_(options.pause_requested),
        on_note_(options.on_note),
        is_back_(machine.has_joined()),
        told_turn_(has_turn()) {}

  /// Until the run is over for this device, or the connection is lost.
  DeviceStatus run() {
    machine_.on_connected();
    for (;;) {
      if (pause_requested_ != nullptr && pause_requested_->load() && !told_pause_) {
        told_pause_ = true;
        machine_.request_pause();
      }
      std::optional<DeviceAction> action = machine_.pop();
      const bool active = action.has_value();
      if (active) {
        const DeviceStatus status = perform(*action);
        if (status != DeviceStatus::running) {
          hang_up();
          return status;
        }
      }
      if (lost_) {  // what was begun is finished first
        if (!active) return DeviceStatus::disconnected;
        continue;
      }
      tell_state();
      if (!active) prepare_ahead();
      const Result<void> moved = move_bytes(active ? 0 : net::tick_interval);
      if (!moved) {
        lost_ = true;
        problem_ = moved.failure();
        machine_.on_lost();
      }
    }
  }

  bool joined() const { return link_.joined(); }
  /// Why the connection or the run has failed.
  const Failure& problem() const { return problem_; }
  net::Microseconds retry_after() const { return retry_after_; }
  const net::Channel& channel() const { return channel_; }

 private:
  using Microseconds = net::Microseconds;

  DeviceStatus perform(DeviceAction& action) {
    using namespace device_action;
    const bool trains = is_any_of<TrainGenerator>(action);
    const bool computes = trains || is_any_of<Forward, Backward, BackwardRandom>(action);
    const bool unknown_time =
        is_any_of<FinishGenerator, Impute>(action) || (trains && takes_longer());
    if (const Reconnect* later = std::get_if<Reconnect>(&action)) {
      retry_after_ = Microseconds{later->retry_after_ms} * 1000;
      problem_ = failure(ErrorCode::network, "the server asks to come back later");
    }
    if ((computes || unknown_time) && !lost_)
      announce(unknown_time || longest_us_ == 0 ? link_.busy_cap() : 4 * longest_us_);
    const Microseconds start = net::steady_now();
    const DeviceStatus status = carry_out(action, machine_, work_, link_, problem_);
    if (computes && !unknown_time)
      longest_us_ = std::max(longest_us_ / 2, net::steady_now() - start);
    if (trains) tell_progress();
    return status;
  }

  /// Uses the wait for a gradient, once the step itself is on its way.
  void prepare_ahead() {
    const std::optional<std::uint64_t> batch = machine_.batch_ahead();
    const bool is_sending = sent_ < out_.size() || link_.wants_to_send();
    if (!batch || is_sending || work_.is_prepared(*batch)) return;
    announce(4 * longest_us_);
    work_.prepare_ahead(*batch);
  }

  bool has_turn() const { return machine_.turn_state() != DeviceTurn::State::idle; }
  /// Where the device stands, once for each change.
  void tell_state() {
    if (on_note_ == nullptr) return;
    if (!told_joined_ && machine_.handshake_state() == DeviceHandshake::State::ready) {
      told_joined_ = true;
      on_note_(concat(is_back_ ? "back" : "joined", " as device ", machine_.setup().index, " of ",
                      machine_.setup().devices));
    }
    if (has_turn() == told_turn_) return;
    told_turn_ = !told_turn_;
    on_note_(told_turn_ ? "my turn" : concat("waiting, after step ", machine_.last_step()));
  }
  bool takes_longer() const {
    return work_.generator() == nullptr || work_.generator()->checks_next();
  }
  void tell_progress() {
    if (on_note_ == nullptr || work_.generator() == nullptr) return;
    const std::string note = work_.generator()->take_note();
    if (!note.empty()) on_note_(note);
  }

  /// Tells the server of a silence that could look like death. Where the time is not known, as
  /// before the first batch, much is asked for; the cap is the server's.
  void announce(Microseconds expected) {
    const bool busy = expected >= 4 * net::second_us;
    if (!busy && !announced_) return;
    const Microseconds now = net::steady_now();
    link_.ping(now, busy ? std::min(expected, link_.busy_cap()) : 0);
    announced_ = busy;
    [[maybe_unused]] const Result<void> seen_by_next_move = write(now);
  }

  Result<void> move_bytes(Microseconds limit) {
    Result<void> state = write(net::steady_now());
    if (!state) return state;
    const bool pending = sent_ < out_.size() || link_.wants_to_send();
    if (channel_.wait(pending, link_.has_message() ? 0 : limit)) {
      // Everything that has arrived is read before the peer's silence is judged.
      for (;;) {
        const Result<std::size_t> got = channel_.read_some(in_);
        if (!got) return got.failure();
        if (*got == 0) break;
        state = link_.receive(ByteSpan(in_).first(*got), net::steady_now());
        take_messages();
        if (!state) break;
      }
    }
    take_messages();
    if (!state) return state;
    if (machine_.handshake_state() == DeviceHandshake::State::connecting)
      return {};  // told to come back
    if (channel_.closed())
      return failure(ErrorCode::network, "the server ", channel_.peer(), " closed the connection");
    return link_.tick(net::steady_now());
  }

  void take_messages() {
    net::Message message;
    while (link_.pop(message)) machine_.on_message(std::move(message));
  }

  Result<void> write(Microseconds now) {
    for (;;) {
      if (sent_ == out_.size()) {
        out_.clear();
        sent_ = 0;
        link_.produce(out_, 2 * net::chunk_content_bytes, now);
        if (out_.empty()) return {};
      }
      const Result<std::size_t> put = channel_.write_some(ByteSpan(out_).subspan(sent_));
      if (!put) return put.failure();
      if (*put == 0) return {};
      sent_ += *put;
    }
  }

  /// Sends what is left, such as BYE or ERROR, and waits for the server's end for a moment: closing
  /// with unread bytes would throw away what is still on its way.
  void hang_up() {
    const Microseconds end = net::steady_now() + 2 * net::second_us;
    bool finished = false;
    while (net::steady_now() < end && !channel_.closed()) {
      if (!write(net::steady_now())) break;
      if (!finished && sent_ == out_.size()) {
        channel_.finish_writing();
        finished = true;
      }
      channel_.wait(!finished, net::tick_interval);
      const Result<std::size_t> got = channel_.read_some(in_);
      if (!got) break;
    }
    channel_.close();
  }

  net::Channel channel_;
  net::Link link_;
  DeviceMachine& machine_;
  DeviceWork& work_;
  const std::atomic<bool>* pause_requested_;
  void (*on_note_)(const std::string& text);
  bool is_back_, told_joined_ = false, told_turn_;
  bool told_pause_ = false;
  net::Bytes in_ = net::Bytes(2 * net::chunk_content_bytes);
  net::Bytes out_;
  std::size_t sent_ = 0;
  Microseconds longest_us_ = 0;  ///< of one forward or backward, lately
  bool announced_ = false;       ///< the server was told of a long silence
  bool lost_ = false;            ///< nothing can be sent any more
  Microseconds retry_after_ = 0;
  Failure problem_;
};

}  // namespace detail

/// Who a device is that holds these samples of `set`; the server gives it the next free index.
inline DeviceIdentity describe_device(std::string name, const data::Dataset& set,
                                      std::span<const Index> samples) {
  DeviceIdentity out;
  out.name = std::move(name);
  out.boot_nonce = static_cast<std::uint64_t>(net::steady_now());
  out.dataset = set.name;
  out.label_counts = data::count_labels(set, samples);
  out.data_fingerprint = data::fingerprint(set.sha256, samples);
  return out;
}

/// Takes part in one run, from connecting to the server's BYE. `samples` are numbers in `set`.
IOTSL_SMALL inline Result<DeviceSummary> run_device(const DeviceOptions& options,
                                                    const data::Dataset& set,
                                                    std::vector<Index> samples) {
  asio::io_context context;
  DeviceFiles files = options.files;
  files.data_fingerprint = options.identity.data_fingerprint;
  auto pausing = [&] {
    return options.pause_requested != nullptr && options.pause_requested->load();
  };
  DeviceWork work(set, std::move(samples), std::move(files), StopCheck::of(pausing),
                  options.layers);
  DeviceMachine machine(options.identity);
  DeviceSummary summary;
  const auto note = [&](const auto&... parts) {
    if (options.on_note != nullptr) options.on_note(concat(parts...));
  };
  net::ConnectOptions connect = options.connect;
  net::Microseconds alone_since = net::steady_now();
  for (std::uint32_t attempt = 1;; ++attempt) {
    const net::Microseconds limit =
        machine.has_joined() ? options.reconnect_limit : options.connect.total_limit;
    const auto left = [&] { return alone_since + limit - net::steady_now(); };
    connect.total_limit = left();
    Result<net::Channel> channel = net::connect_patiently(context, options.server, connect);
    if (!channel) {
      if (pausing()) return summary;
      return channel.failure();
    }
    detail::DeviceConnection connection(std::move(channel).value(), machine, work, options);
    const DeviceStatus status = connection.run();
    // Until the server is back, or this program starts again.
    if (GeneratorWork* generator = work.generator()) {
      const Result<void> saved = generator->save();
      if (!saved) note(saved.failure().message);
    }
    summary.steps = machine.last_step();
    summary.bytes_up += connection.channel().bytes_out();
    summary.bytes_down += connection.channel().bytes_in();
    summary.peak_memory_bytes = measure::peak_resident_bytes();
    summary.complete = machine.run_is_over();
    if (status == DeviceStatus::failed) return connection.problem();
    if (status == DeviceStatus::finished || pausing()) return summary;
    if (connection.joined()) {
      alone_since = net::steady_now();
      attempt = 1;
      note("connection lost after step ", summary.steps, ": ", connection.problem().message,
           "; trying again");
    }
    ++connect.jitter_seed;
    const net::Microseconds delay =
        std::max(connection.retry_after(), net::retry_delay(connect, attempt));
    if (delay > left()) return connection.problem();
    ::poll(nullptr, 0, static_cast<int>(delay / 1000));
  }
}

}  // namespace split
IOTSL_NAMESPACE_END
