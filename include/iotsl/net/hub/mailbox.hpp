#pragma once
// Between a hub's network thread and the thread that computes: events one way, messages to send
// the other, and how much of both waits. All that the two share.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "iotsl/net/hub/options.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

class HubMailbox {
 public:
  using Id = std::uint64_t;
  struct Command {
    enum class Kind { send, close, cut };  ///< `cut`: the peer does not take what it is sent
    Id connection;
    Kind kind;
    Message message = {};
  };
  /// How much of a queue that is full has to go within how long.
  struct Patience {
    std::size_t bytes;
    Microseconds span;
  };
  /// What the computing thread has done since the last look.
  struct Orders {
    std::vector<Command> commands;
    std::vector<Id> read_again;  ///< connections of which a message was taken
    bool stopping = false;
  };

  HubMailbox(std::size_t max_queued, Patience patience)
      : max_queued_(max_queued), patience_(patience) {}
  ~HubMailbox() {
    for (const int handle : wake_)
      if (handle >= 0) ::close(handle);
  }
  HubMailbox(const HubMailbox&) = delete;
  HubMailbox& operator=(const HubMailbox&) = delete;

  Result<void> open() {
    if (::pipe2(wake_, O_CLOEXEC | O_NONBLOCK) == 0) return {};
    return failure(ErrorCode::network, "cannot make a pipe: errno ", errno);
  }

  // The computing thread's side.

  HubEvent wait(Microseconds limit) {
    std::unique_lock lock(mutex_);
    event_ready_.wait_for(lock, std::chrono::microseconds(limit), [&] { return !events_.empty(); });
    if (events_.empty()) return {};
    HubEvent event = std::move(events_.front());
    events_.pop_front();
    if (event.kind == HubEvent::Kind::message) {
      const auto at = waiting_.find(event.connection);
      if (at != waiting_.end()) {
        --at->second.to_handle;
        read_again_.push_back(event.connection);
      }
      lock.unlock();
      wake();
    }
    return event;
  }
  void send(Id connection, Message message) { queue(connection, std::move(message), false); }
  /// The same and close() in one: who answers by going finds the connection closed on purpose.
  void send_last(Id connection, Message message) { queue(connection, std::move(message), true); }
  void close(Id connection) {
    {
      const std::lock_guard lock(mutex_);
      commands_.push_back({connection, Command::Kind::close});
    }
    wake();
  }
  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    queue_drained_.notify_all();
    wake();
  }

  // The network thread's side.

  /// Ready to be read where there are orders.
  int wake_handle() const { return wake_[0]; }
  Orders take_orders() {
    char drain[256];
    while (::read(wake_[0], drain, sizeof drain) == static_cast<ssize_t>(sizeof drain)) {
    }
    Orders out;
    const std::lock_guard lock(mutex_);
    out.commands.swap(commands_);
    out.read_again.swap(read_again_);
    out.stopping = stopping_;
    return out;
  }
  /// A connection that messages may be sent on.
  void open(Id connection) {
    const std::lock_guard lock(mutex_);
    waiting_[connection] = {};
  }
  void post(HubEvent event) {
    const std::lock_guard lock(mutex_);
    if (event.kind == HubEvent::Kind::message) ++waiting_[event.connection].to_handle;
    events_.push_back(std::move(event));
    event_ready_.notify_one();
  }
  /// The last event of a connection. It goes behind the connection's own last message, but ahead of
  /// other connections: where the computing thread was busy, a device that comes back must find its
  /// old connection gone. Where many wait, one that has come and gone meanwhile leaves nothing: the
  /// number of those who say HELLO and go has no limit.
  void post_lost(HubEvent event) {
    const std::lock_guard lock(mutex_);
    waiting_.erase(event.connection);
    queue_drained_.notify_all();
    const auto own = [&](const HubEvent& e) { return e.connection == event.connection; };
    const auto first = std::find_if(events_.begin(), events_.end(), own);
    if (events_.size() > most_events && first != events_.end() &&
        first->kind == HubEvent::Kind::opened) {
      std::erase_if(events_, own);
      return;
    }
    const auto last = std::find_if(events_.rbegin(), events_.rend(), own).base();
    events_.insert(last, std::move(event));
    event_ready_.notify_one();
  }
  /// Bytes that the connection has left to send, beside those of orders that are not taken yet.
  void set_unsent(Id connection, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    const auto at = waiting_.find(connection);
    if (at == waiting_.end()) return;
    for (const Command& command : commands_)
      if (command.connection == connection) bytes += command.message.payload.size();
    const bool drained = at->second.to_send >= max_queued_ && bytes < max_queued_;
    at->second.to_send = bytes;
    if (drained) queue_drained_.notify_all();
  }
  /// Messages of the connection that the computing thread has not taken.
  std::size_t to_handle(Id connection) {
    const std::lock_guard lock(mutex_);
    const auto at = waiting_.find(connection);
    return at == waiting_.end() ? 0 : at->second.to_handle;
  }

 private:
  static constexpr std::size_t most_events = 4096;
  struct Waiting {
    std::size_t to_send = 0;    ///< bytes
    std::size_t to_handle = 0;  ///< messages
  };

  void queue(Id connection, Message message, bool is_last) {
    std::unique_lock lock(mutex_);
    const bool takes = wait_for_room(connection, lock);
    const auto at = waiting_.find(connection);
    if (at == waiting_.end()) return;  // lost in the meantime; the event is on its way
    at->second.to_send += message.payload.size();
    using enum Command::Kind;
    commands_.push_back({connection, takes ? send : cut, std::move(message)});
    if (is_last) commands_.push_back({connection, close});
    lock.unlock();
    wake();
  }
  /// False where the peer does not take what it is sent: one device must not stop the others, whose
  /// steps the same thread computes.
  bool wait_for_room(Id connection, std::unique_lock<std::mutex>& lock) {
    for (std::size_t before = 0;;) {
      const auto at = waiting_.find(connection);
      if (at == waiting_.end() || at->second.to_send < max_queued_ || stopping_) return true;
      if (before != 0 && at->second.to_send + patience_.bytes >= before) return false;
      before = at->second.to_send;
      queue_drained_.wait_for(lock, std::chrono::microseconds(patience_.span), [&] {
        const auto now = waiting_.find(connection);
        return stopping_ || now == waiting_.end() || now->second.to_send < max_queued_;
      });
    }
  }
  void wake() {
    const char byte = 0;
    // A full pipe already wakes the thread.
    [[maybe_unused]] const ssize_t ignored = ::write(wake_[1], &byte, 1);
  }

  std::size_t max_queued_;
  Patience patience_;
  int wake_[2] = {-1, -1};
  std::mutex mutex_;
  std::condition_variable event_ready_, queue_drained_;
  std::deque<HubEvent> events_;
  std::vector<Command> commands_;
  std::vector<Id> read_again_;
  std::map<Id, Waiting> waiting_;
  bool stopping_ = false;
};

}  // namespace net
IOTSL_NAMESPACE_END
