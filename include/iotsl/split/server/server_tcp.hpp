#pragma once
// A server's run over TCP: the hub's network thread moves the bytes, the calling thread computes.

#include "iotsl/net/hub/hub.hpp"
#include "iotsl/split/server/server_work.hpp"
#include "iotsl/split/server/sessions.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

struct ServerOptions {
  net::Address address{"127.0.0.1", 0};
  bool insecure = false;  ///< plain text off loopback, too
  /// With them devices come over TLS, and only those on the list; see HubOptions::credentials.
  net::ServerCredentials* credentials = nullptr;
  net::Microseconds gather_limit = 300 * net::second_us;  ///< for all devices to come
  ExpectedData expected = {};                             ///< of the devices
  std::optional<net::LinkSpeed> emulated = {};            ///< of HubOptions
};

namespace detail {

class HubTransport : public ServerTransport {
 public:
  void send(ConnectionId connection, net::Message message) override {
    hub->send(connection, std::move(message));
  }
  void send_last(ConnectionId connection, net::Message message) override {
    hub->send_last(connection, std::move(message));
  }
  void close(ConnectionId connection) override { hub->close(connection); }
  LinkTraffic traffic(ConnectionId connection) override { return counted[connection]; }
  LinkTraffic total() override {
    LinkTraffic all = closed;
    for (const auto& [connection, each] : counted) {
      all.up += each.up;
      all.down += each.down;
    }
    return all;
  }
  void forget(ConnectionId connection) {
    closed.up += counted[connection].up;
    closed.down += counted[connection].down;
    counted.erase(connection);
  }

  net::Hub* hub = nullptr;
  std::map<ConnectionId, LinkTraffic> counted;  ///< up to the last event
  LinkTraffic closed;
};

/// One session, see run_sessions(). `options` get the port that it has listened on.
inline Result<std::optional<RunSummary>> serve_session(const RunConfig& config,
                                                       const RunHooks& hooks,
                                                       ServerOptions& options,
                                                       const EvaluationSets& sets) {
  HubTransport transport;
  auto created = ServerRun::create(config, hooks, sets, options.expected, transport);
  if (!created) return created.failure();
  ServerRun& run = **created;
  net::HubOptions hub_options;
  hub_options.address = options.address;
  hub_options.insecure = options.insecure;
  hub_options.credentials = options.credentials;
  hub_options.emulated = options.emulated;
  auto hub = net::Hub::start(
      hub_options, [&](net::Link& link) { set_transfer_limits(link, run.sizes(), true); });
  if (!hub) return hub.failure();
  transport.hub = hub->get();
  options.address.port = (*hub)->port();
  if (hooks.on_listening != nullptr) hooks.on_listening(hooks.context, options.address.port);

  const net::Microseconds start = net::steady_now();
  // A device whose connection breaks again and again tells nothing new each time.
  net::RepeatedLines lines(5 * net::second_us, static_cast<std::size_t>(config.devices) + 64);
  while (!run.done()) {
    net::HubEvent event = (*hub)->wait(run.has_work() ? 0 : net::tick_interval);
    switch (event.kind) {
      case net::HubEvent::Kind::none:
        break;
      case net::HubEvent::Kind::opened:
        run.on_open(event.connection, std::move(event.device));
        break;
      case net::HubEvent::Kind::message:
        transport.counted[event.connection] = {event.in, event.out};
        run.on_message(event.connection, std::move(event.message));
        break;
      case net::HubEvent::Kind::refused:
      case net::HubEvent::Kind::note:
        hooks.note(event.why.message);
        break;
      case net::HubEvent::Kind::lost:
        if (!event.why.message.empty()) {
          const std::string_view name = run.name_of(event.connection);
          const auto line = lines.add(concat(name, name.empty() ? "" : ": ", event.why.message),
                                      net::steady_now(), name);
          if (line) hooks.note(*line);
        }
        run.on_lost(event.connection);
        transport.forget(event.connection);
        break;
    }
    for (const std::string& line : lines.take_due(net::steady_now())) hooks.note(line);
    if (run.has_work()) run.work();
    run.on_time(net::steady_now());
    if (run.gathering() && net::steady_now() - start > options.gather_limit)
      run.give_up_gathering(options.gather_limit);
    if (hooks.stop_requested()) run.request_pause();
  }
  for (Farewells farewells = run.begin_farewells(net::steady_now());
       !farewells.done(net::steady_now());) {
    net::HubEvent event = (*hub)->wait(net::tick_interval);
    if (event.kind == net::HubEvent::Kind::message)
      run.on_late_message(event.connection, event.message, farewells);
    if (event.kind == net::HubEvent::Kind::lost)
      farewells.on_lost(event.connection, !event.why.message.empty());
  }
  (*hub)->stop();
  for (const std::string& line : lines.take_rest(net::steady_now())) hooks.note(line);
  for (net::HubEvent left = (*hub)->wait(0); left.kind != net::HubEvent::Kind::none;
       left = (*hub)->wait(0))
    if (left.kind == net::HubEvent::Kind::note) hooks.note(left.why.message);
  const LinkTraffic all{(*hub)->total_in(), (*hub)->total_out()};
  if (all.up.total_bytes() > (*hub)->socket_bytes_in() ||
      all.down.total_bytes() > (*hub)->socket_bytes_out())
    return failure(ErrorCode::other, "counted more bytes than the sockets passed");
  if (run.goes_on_unfrozen()) {
    const Result<void> done = run.hand_on(all);
    return done ? Result<std::optional<RunSummary>>(std::optional<RunSummary>()) : done.failure();
  }
  Result<RunSummary> summary = run.finish(all);
  if (!summary) return summary.failure();
  if (options.credentials != nullptr)
    summary->tls_bytes = (*hub)->socket_bytes_in() + (*hub)->socket_bytes_out() -
                         all.up.total_bytes() - all.down.total_bytes();
  return std::optional<RunSummary>(std::move(summary).value());
}

}  // namespace detail

/// Serves one run from start to end. `sets` are evaluated after each turn.
inline Result<RunSummary> run_server(const RunConfig& config, const RunHooks& hooks,
                                     ServerOptions options, const EvaluationSets& sets) {
  if (options.insecure)
    hooks.note(
        "insecure: labels and activations travel unencrypted, and anyone who reaches the port can "
        "join");
  RunHooks told = hooks;
  return run_sessions(config, [&](const RunConfig& session) {
    auto done = detail::serve_session(session, told, options, sets);
    told.on_listening = nullptr;  // the devices come back to the same port
    return done;
  });
}

}  // namespace split
IOTSL_NAMESPACE_END
