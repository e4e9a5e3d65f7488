#pragma once
// A device's part of a run over TCP, in one thread: it polls its socket between batches and says so
// before longer work. A lost connection is made again; the turn in hand goes on where it stood.

#include "iotsl/net/channel_stream.hpp"
#include "iotsl/net/identity/device_credentials.hpp"
#include "iotsl/split/device/carry_out.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

struct DeviceOptions {
  net::Address server;
  /// With them the connection is TLS to the server that they name; else it is plain text.
  net::DeviceCredentials* credentials = nullptr;
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
  /// Called between two pieces of work, several times a second but for long ones; may be null.
  void (*on_progress)() = nullptr;
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
  DeviceConnection(net::ChannelStream stream, DeviceMachine& machine, DeviceWork& work,
                   const DeviceOptions& options)
      : stream_(std::move(stream)),
        opened_(net::steady_now()),
        link_(net::LinkOptions{}, opened_),
        machine_(machine),
        work_(work),
        credentials_(options.credentials),
        pause_requested_(options.pause_requested),
        on_note_(options.on_note),
        on_progress_(options.on_progress),
        is_back_(machine.has_joined()),
        told_turn_(machine.has_turn()) {}

  /// Until the run is over for this device, or the connection is lost.
  DeviceStatus run() {
    machine_.on_connected();
    for (;;) {
      if (on_progress_ != nullptr) on_progress_();
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
        if (wrong_peer()) hang_up();  // it is told why
        machine_.on_lost();
      }
    }
  }

  bool joined() const { return link_.joined(); }
  /// Why the connection or the run has failed.
  const Failure& problem() const { return problem_; }
  net::Microseconds retry_after() const { return retry_after_; }
  const net::Channel& channel() const { return stream_.channel(); }
  /// The peer is not the server that this device trusts, or does not speak as it should.
  bool wrong_peer() const { return net::is_wrong_peer(peer_problem()); }
  net::TlsProblem peer_problem() const { return stream_.problem(); }

 private:
  using Microseconds = net::Microseconds;

  DeviceStatus perform(DeviceAction& action) {
    using namespace device_action;
    const bool trains = is_any_of<TrainGenerator>(action);
    const bool computes =
        trains || is_any_of<Forward, Backward, BackwardRandom, TrainBatch>(action);
    const bool unknown_time =
        is_any_of<FinishGenerator, Impute>(action) || (trains && takes_longer());
    if (const Reconnect* later = std::get_if<Reconnect>(&action)) {
      retry_after_ = Microseconds{later->retry_after_ms} * 1000;
      problem_ = failure(ErrorCode::network, "the server asks to come back later: ", later->why);
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
    if (!batch || wants_to_write() || work_.is_prepared(*batch)) return;
    announce(4 * longest_us_);
    work_.prepare_ahead(*batch);
  }

  /// Where the device stands, once for each change.
  void tell_state() {
    if (on_note_ == nullptr) return;
    if (!told_joined_ && machine_.handshake_state() == DeviceHandshake::State::ready) {
      told_joined_ = true;
      on_note_(concat(is_back_ ? "back" : "joined", " as device ", machine_.setup().index, " of ",
                      machine_.setup().devices));
    }
    if (machine_.has_turn() == told_turn_) return;
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
    if (stream_.channel().wait(wants_to_write(), link_.has_message() ? 0 : limit)) {
      // Everything that has arrived is read before the peer's silence is judged.
      for (bool more = true; more && state;) {
        const bool was_ready = stream_.ready();
        const auto arrived = stream_.read(buffers_);
        if (!was_ready && stream_.ready()) {
          link_.restart(net::steady_now());
          settle_server_key();
        }
        state = arrived ? link_.receive(arrived->plain, net::steady_now()) : arrived.failure();
        more = arrived && arrived->any;
        take_messages();
      }
    }
    take_messages();
    if (!state) return state;
    if (machine_.handshake_state() == DeviceHandshake::State::connecting)
      return {};  // told to come back
    if (stream_.channel().closed())
      return failure(ErrorCode::network, "the server ", stream_.channel().peer(),
                     " closed the connection");
    return tick(net::steady_now());
  }

  Result<void> tick(Microseconds now) {
    if (stream_.ready()) return link_.tick(now);
    if (now - opened_ <= net::LinkOptions{}.handshake_limit) return {};
    return failure(ErrorCode::network, "no TLS session with ", stream_.channel().peer(), " within ",
                   net::LinkOptions{}.handshake_limit / net::second_us, " s");
  }

  void take_messages() {
    net::Message message;
    while (link_.pop(message)) {
      if (message.type == net::MessageType::server_key && credentials_ != nullptr)
        accept_server_key(message);
      else
        machine_.on_message(std::move(message));
    }
  }
  /// The server says which key it will have: what it says is worth as much as the session's key.
  void accept_server_key(const net::Message& message) {
    const Result<net::ServerKey> key = net::decode<net::ServerKey>(message.payload);
    const Result<void> kept =
        key ? credentials_->accept_server_key(stream_.tls()->peer_pin(), key->pin) : key.failure();
    if (!kept) return tell("the server's next key is not kept: ", kept.failure().message);
    link_.send_fields(net::ServerKeyKept{key->pin});
    tell("the server is about to have the key ", net::short_text(key->pin),
         "..., which is accepted from now on");
  }
  void settle_server_key() {
    if (credentials_ == nullptr) return;
    const Result<bool> settled = credentials_->settle_server_key(stream_.tls()->peer_pin());
    if (!settled) return tell(settled.failure().message);
    if (*settled) tell("the server has its new key; the one before is not accepted any more");
  }
  template <class... Parts>
  void tell(const Parts&... parts) const {
    if (on_note_ != nullptr) on_note_(concat(parts...));
  }

  Result<void> write(Microseconds now) {
    return stream_.write(
        buffers_, [&](net::Bytes& out) { link_.produce(out, 2 * net::chunk_content_bytes, now); });
  }
  bool wants_to_write() const {
    return stream_.is_unsent() || (stream_.ready() && link_.wants_to_send());
  }

  /// Sends what is left, such as BYE or ERROR, and waits for the server's end for a moment: closing
  /// with unread bytes would throw away what is still on its way.
  void hang_up() {
    const Microseconds end = net::steady_now() + 2 * net::second_us;
    bool finished = false;
    while (net::steady_now() < end && !stream_.channel().closed()) {
      if (!write(net::steady_now())) break;
      if (!finished && !wants_to_write()) {
        stream_.finish_writing();
        finished = true;
      }
      stream_.channel().wait(!finished, net::tick_interval);
      if (!stream_.discard(buffers_)) break;
    }
    stream_.channel().close();
  }

  net::ChannelStream stream_;
  Microseconds opened_;
  net::Link link_;
  DeviceMachine& machine_;
  DeviceWork& work_;
  net::DeviceCredentials* credentials_;
  const std::atomic<bool>* pause_requested_;
  void (*on_note_)(const std::string& text);
  void (*on_progress_)();
  bool is_back_, told_joined_ = false, told_turn_;
  bool told_pause_ = false;
  net::StreamBuffers buffers_{2 * net::chunk_content_bytes};
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
    if (options.on_progress != nullptr) options.on_progress();
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
  connect.off_loopback = connect.off_loopback || options.credentials != nullptr;
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
    std::optional<net::TlsSession> tls;
    if (options.credentials != nullptr) {
      Result<net::TlsSession> begun = net::TlsSession::client(options.credentials->context(),
                                                              options.credentials->server_pins());
      if (!begun) return begun.failure();
      tls = std::move(*begun);
    }
    detail::DeviceConnection connection(
        net::ChannelStream(std::move(channel).value(), std::move(tls)), machine, work, options);
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
    // Later it may be an attack, which must not end the run for this device.
    if (connection.wrong_peer() && !machine.has_joined())
      return net::explain_wrong_peer(connection.peer_problem(), connection.problem(),
                                     options.server);
    if (status == DeviceStatus::finished || pausing()) return summary;
    if (connection.joined()) {
      alone_since = net::steady_now();
      attempt = 1;
      note("connection lost after step ", summary.steps, ": ", connection.problem().message,
           "; trying again");
    } else if (connection.retry_after() > 0) {
      note(connection.problem().message);
    }
    ++connect.jitter_seed;
    const net::Microseconds delay =
        std::max(connection.retry_after(), net::retry_delay(connect, attempt));
    if (delay > left()) return connection.problem();
    net::sleep_unless(options.pause_requested, delay);
  }
}

}  // namespace split
IOTSL_NAMESPACE_END
