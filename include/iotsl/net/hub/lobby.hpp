#pragma once
// Who waits at the door: connections whose peers have not said HELLO, and who of them goes when
// there are too many. Knows neither sockets nor clocks.
//
// A newcomer is never turned away for those who are here already: a peer that means it needs a
// moment, one that only takes room has had longer. So that many from one address hurt that address
// alone, who goes is of the address that has most. TLS sessions, which cost memory and time, are
// given one by one to whole ClientHellos: first to addresses that have fewest.

#include <map>
#include <set>
#include <string>

#include "iotsl/net/hub/options.hpp"

IOTSL_NAMESPACE_BEGIN
namespace net {

class Lobby {
 public:
  using Id = std::uint64_t;  ///< of a connection; rises with its age
  static constexpr Id nobody = 0;

  explicit Lobby(const StrangerLimits& limits) : limits_(limits) {}

  /// A newcomer. Who has to go for it, or nobody.
  Id enter(Id id, const std::string& address) {
    Group& group = groups_[address];
    members_[id] = {groups_.find(address), State::greeting, 0};
    group.of(State::greeting).insert(id);
    ++group.count;
    if (group.count > limits_.per_address) return oldest(group, id);
    if (members_.size() > limits_.total) return oldest(largest(), id);
    return nobody;
  }
  /// It has said HELLO, or has gone.
  void leave(Id id) {
    const auto at = members_.find(id);
    if (at == members_.end()) return;
    const auto group = at->second.group;
    group->second.of(at->second.state).erase(id);
    count(at->second.state, -1);
    members_.erase(at);
    if (--group->second.count == 0) groups_.erase(group);
  }
  bool contains(Id id) const { return members_.count(id) > 0; }
  std::size_t size() const { return members_.size(); }
  std::size_t sessions() const { return sessions_; }
  /// Who is here longest of those that may go; nobody where nobody is here.
  Id oldest() { return members_.empty() ? nobody : oldest(largest(), nobody); }

  /// Its ClientHello is whole.
  void ask_for_session(Id id) { move(id, State::waiting); }
  /// It was refused, and only its last bytes are on their way.
  void turn_away(Id id) { move(id, State::leaving); }

  /// The next that begins a session now, and who has to go for it.
  struct Admission {
    Id begins = nobody, goes = nobody;
  };
  Admission next_session(Microseconds now) {
    Admission out;
    if (Group* group = fewest_sessions()) {
      if (sessions_ >= limits_.sessions) {
        out.goes = longest_session(now);
        if (out.goes == nobody) return {};
        // Gone already for all that follows.
        leave(out.goes);
      }
      out.begins = *group->of(State::waiting).begin();
      move(out.begins, State::session);
      members_[out.begins].since = now;
      group->turn = ++turns_;
    }
    return out;
  }
  /// Somebody waits for a session.
  bool is_asked() const { return waiting_ > 0; }
  bool can_begin() const { return is_asked() && sessions_ < limits_.sessions; }
  /// All sessions are taken, but one may be given up for who waits.
  bool is_crowded() const { return is_asked() && sessions_ >= limits_.sessions; }

 private:
  enum class State { leaving, greeting, waiting, session };
  struct Group {
    std::set<Id> by_state[4];
    std::size_t count = 0;
    std::uint64_t turn = 0;  ///< at which it was given its last session
    std::set<Id>& of(State state) { return by_state[static_cast<std::size_t>(state)]; }
    const std::set<Id>& of(State state) const { return by_state[static_cast<std::size_t>(state)]; }
  };
  using Groups = std::map<std::string, Group>;
  struct Member {
    Groups::iterator group;
    State state = State::greeting;
    Microseconds since = 0;  ///< of a session
  };

  void move(Id id, State state) {
    const auto at = members_.find(id);
    if (at == members_.end()) return;
    Member& member = at->second;
    member.group->second.of(member.state).erase(id);
    count(member.state, -1);
    member.state = state;
    count(state, 1);
    member.group->second.of(state).insert(id);
  }
  void count(State state, int change) {
    if (state == State::session) sessions_ += static_cast<std::size_t>(change);
    if (state == State::waiting) waiting_ += static_cast<std::size_t>(change);
  }
  Group& largest() {
    auto most = groups_.begin();
    for (auto at = groups_.begin(); at != groups_.end(); ++at)
      if (at->second.count > most->second.count) most = at;
    return most->second;
  }
  /// Sessions have a rule of their own, so that they go last.
  static Id oldest(const Group& group, Id but) {
    const auto first = [&](State state) {
      for (const Id id : group.of(state))
        if (id != but) return id;
      return nobody;
    };
    if (const Id leaving = first(State::leaving)) return leaving;
    const Id greeting = first(State::greeting), waiting = first(State::waiting);
    if (greeting != nobody && waiting != nobody) return std::min(greeting, waiting);
    if (greeting != nobody || waiting != nobody) return greeting + waiting;
    return first(State::session);
  }
  /// Of those where somebody waits; one after the other where they have as many: sessions that end
  /// as soon as they begin count, too.
  Group* fewest_sessions() {
    Group* best = nullptr;
    const auto before = [](const Group& a, const Group& b) {
      const std::size_t x = a.of(State::session).size(), y = b.of(State::session).size();
      if (x != y) return x < y;
      if (a.turn != b.turn) return a.turn < b.turn;
      return *a.of(State::waiting).begin() < *b.of(State::waiting).begin();
    };
    for (auto& [address, group] : groups_)
      if (!group.of(State::waiting).empty() && (best == nullptr || before(group, *best)))
        best = &group;
    return best;
  }
  /// The session that its peer has had longest, at least for the grace, of the address with most.
  Id longest_session(Microseconds now) const {
    Id out = nobody;
    std::size_t most = 0;
    for (const auto& [address, group] : groups_) {
      const std::set<Id>& sessions = group.of(State::session);
      if (sessions.size() <= most) continue;
      // Sessions begin in the order of ids, but for those that waited while others were served.
      Id oldest = nobody;
      Microseconds since = now - limits_.session_grace;
      for (const Id id : sessions) {
        const Microseconds begun = members_.at(id).since;
        if (begun > since) continue;
        since = begun;
        oldest = id;
      }
      if (oldest == nobody) continue;
      out = oldest;
      most = sessions.size();
    }
    return out;
  }

  StrangerLimits limits_;
  Groups groups_;
  std::map<Id, Member> members_;
  std::size_t sessions_ = 0, waiting_ = 0;
  std::uint64_t turns_ = 0;
};

}  // namespace net
IOTSL_NAMESPACE_END
