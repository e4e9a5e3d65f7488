#pragma once
// A device's part of a run over TCP, in one thread: it polls its socket between batches and says so
// before longer work.

#include "iotsl/net/channel.hpp"
#include "iotsl/split/device_work.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

struct DeviceOptions {
  net::Address server;
  DeviceIdentity identity;
  net::ConnectOptions connect;
  const std::atomic<bool>* stop = nullptr;  ///< set by a signal: finish the step and say BYE
};

struct DeviceSummary {
  std::uint64_t steps = 0;  ///< last step of the run that this device applied
  std::uint64_t bytes_up = 0, bytes_down = 0;
  std::uint64_t peak_memory_bytes = 0;
};

namespace detail {

/// The connection of one device with its buffers.
class DeviceSession {
 public:
  DeviceSession(net::Channel channel, const DeviceOptions& options, DeviceWork& work)
      : channel_(std::move(channel)),
        link_(net::LinkOptions{}, net::steady_now()),
        machine_(options.identity),
        work_(work),
        stop_(options.stop) {}

  Result<DeviceSummary> run() {
    machine_.on_connected();
    for (;;) {
      if (stop_ != nullptr && stop_->load() && !told_stop_) {
        told_stop_ = true;
        machine_.request_stop();
      }
      DeviceAction action;
      const bool active = machine_.pop(action);
      if (active) {
        const DeviceStatus status = perform(action);
        if (status != DeviceStatus::running) {
          hang_up();
          if (status == DeviceStatus::failed) return problem_;
          return summary();
        }
      }
      const Result<void> moved = move_bytes(active ? 0 : net::tick_interval);
      if (!moved) {
        lost_before_join_ = !link_.joined();
        machine_.on_lost(moved.failure());
      }
    }
  }

  /// The connection broke before the server took this device in; it may be tried again.
  bool lost_before_join() const { return lost_before_join_; }

 private:
  using Microseconds = net::Microseconds;

  DeviceStatus perform(DeviceAction& action) {
    using Kind = DeviceAction::Kind;
    const Kind kind = action.kind;
    const bool computes = kind == Kind::forward || kind == Kind::backward;
    if (kind == Kind::build)
      link_.set_heartbeat(Microseconds{action.setup.heartbeat_ms} * 1000,
                          Microseconds{action.setup.dead_ms} * 1000,
                          Microseconds{action.setup.busy_cap_ms} * 1000);
    if (computes) announce();
    const Microseconds start = net::steady_now();
    const DeviceStatus status = carry_out(action, machine_, work_, link_, problem_);
    if (computes) longest_us_ = std::max(longest_us_ / 2, net::steady_now() - start);
    return status;
  }

  /// Tells the server of a silence that could look like death. Before the first batch the time is
  /// not known, so much is asked for; the cap is the server's.
  void announce() {
    const Microseconds expected = longest_us_ == 0 ? link_.busy_cap() : 4 * longest_us_;
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
        if (!state) break;
      }
    }
    net::Message message;
    while (link_.pop(message)) machine_.on_message(std::move(message));
    if (!state) return state;
    if (channel_.closed())
      return failure(ErrorCode::network, "the server ", channel_.peer(), " closed the connection");
    return link_.tick(net::steady_now());
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

  DeviceSummary summary() const {
    return {machine_.last_step(), channel_.bytes_out(), channel_.bytes_in(),
            measure::peak_resident_bytes()};
  }

  net::Channel channel_;
  net::Link link_;
  DeviceMachine machine_;
  DeviceWork& work_;
  const std::atomic<bool>* stop_;
  bool told_stop_ = false;
  net::Bytes in_ = net::Bytes(2 * net::chunk_content_bytes);
  net::Bytes out_;
  std::size_t sent_ = 0;
  Microseconds longest_us_ = 0;  ///< of one forward or backward, lately
  bool announced_ = false;       ///< the server was told of a long silence
  bool lost_before_join_ = false;
  Failure problem_;
};

}  // namespace detail

/// Takes part in one run, from connecting to the server's BYE. `samples` are numbers in `set`. A
/// connection that is lost before JOIN_OK is made again, within the total limit of `connect`.
inline Result<DeviceSummary> run_device(const DeviceOptions& options, const data::Dataset& set,
                                        std::vector<Index> samples) {
  asio::io_context context;
  DeviceWork work(set, std::move(samples));
  const net::Microseconds start = net::steady_now();
  net::ConnectOptions connect = options.connect;
  for (;;) {
    connect.total_limit = options.connect.total_limit - (net::steady_now() - start);
    Result<net::Channel> channel = net::connect_patiently(context, options.server, connect);
    if (!channel) return channel.failure();
    detail::DeviceSession session(std::move(channel).value(), options, work);
    Result<DeviceSummary> summary = session.run();
    if (summary || !session.lost_before_join()) return summary;
    ++connect.jitter_seed;
    const net::Microseconds delay = net::retry_delay(connect, 4);
    if (net::steady_now() - start + delay > options.connect.total_limit) return summary;
    ::poll(nullptr, 0, static_cast<int>(delay / 1000));
  }
}

}  // namespace split
IOTSL_NAMESPACE_END
