#pragma once
// A run of federated averaging in one process, one device after the other: the order in which
// devices of a round train does not matter, since all of them begin with the same weights.

#include "iotsl/split/server/server_work.hpp"
#include "iotsl/split/simulate/fedavg.hpp"
#include "iotsl/split/simulate/memory_wire.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

namespace detail {

/// Both ends of a device's connection, in memory, as they stand after a handshake.
class FedavgLink {
 public:
  FedavgLink(std::uint64_t run, std::size_t limit) {
    for (net::Link* end : {&server_, &device_}) {
      end->set_transfer_limit(net::MessageType::global_model, limit);
      end->set_transfer_limit(net::MessageType::local_model, limit);
    }
    server_.send_fields(net::JoinOk{run});
  }

  /// Sends `fields` to the other side; what arrives there is valid until the next message.
  template <class M>
  Result<M> pass(const M& fields, bool up) {
    net::Link &from = up ? device_ : server_, &to = up ? server_ : device_;
    from.send_fields(fields);
    for (;;) {
      const Result<std::size_t> moved = move_bytes(from, to);
      if (!moved) return moved.failure();
      if (!to.pop(message_)) return failure(ErrorCode::network, M::name, " did not arrive");
      if (message_.type == M::type) return net::decode<M>(message_.payload);  // else JOIN_OK
    }
  }
  LinkTraffic traffic() const { return {server_.traffic_in(), server_.traffic_out()}; }

 private:
  net::Link server_{net::LinkOptions{.server = true, .timers = false}};
  net::Link device_{net::LinkOptions{.timers = false}};
  net::Message message_;
};

}  // namespace detail

/// Runs `config` (method fedavg) with one device for each list of sample numbers in `samples`.
/// Every round all of them train `local_epochs` epochs from the same weights; the next weights are
/// the mean. A round is as many device epochs as with split learning, and the test accuracy is that
/// of the mean. `with_messages`: the nets pass as LOCAL_MODEL and GLOBAL_MODEL, and their bytes are
/// counted; without, the same numbers come from the same functions.
inline Result<RunSummary> run_fedavg(const RunConfig& config, const RunHooks& hooks,
                                     const data::Dataset& train, const data::Dataset& test,
                                     const std::vector<std::vector<Index>>& samples,
                                     bool with_messages) {
  RunConfig run = config;
  if (static_cast<Index>(samples.size()) != run.devices)
    return failure(ErrorCode::usage, "--devices ", run.devices, ", but the partition has ",
                   samples.size());
  // Between two means there is nothing to test.
  const Index in_round = run.devices * run.training.local_epochs;
  run.training.eval_every = (run.training.eval_every + in_round - 1) / in_round * in_round;
  Result<SplitModel> global = build_split_model(run), local = build_split_model(run);
  if (!global) return global.failure();
  if (!local) return local.failure();
  const Sequential<float>& net = global->joined;
  Optimizer<float> none;
  WireSizes sizes = wire_sizes(net, none, sample_shape(run.model), 1);
  sizes.smashed_values = 0;
  ModelMean mean(net);
  RunRecorder recorder(run, hooks, test);
  const TrainingState state{global->joined, {&none}, mean.parts()};
  Result<BarrierRecord> opened = recorder.open(state);
  if (!opened) return opened.failure();
  BarrierRecord at = std::move(opened).value();  // the last one
  const std::uint64_t number = recorder.session().run;
  constexpr std::uint64_t fields = 128 + 40 * 1024;  // beside the net: an epoch takes 40 bytes
  std::vector<detail::FedavgLink> links;
  for (std::size_t i = 0; with_messages && i < samples.size(); ++i)
    links.emplace_back(number, static_cast<std::size_t>(sizes.state_bytes() + fields));
  const auto total = [&] {
    LinkTraffic all;
    for (const detail::FedavgLink& link : links) {
      all.up += link.traffic().up;
      all.down += link.traffic().down;
    }
    return all;
  };

  for (std::uint64_t turn = at.report.turn; turn < run.turns(); ++turn) {
    const auto device = static_cast<std::size_t>(turn % samples.size());
    const net::Microseconds start = net::steady_now();
    const LinkTraffic before = total();
    // Of a turn whose books are still to be closed.
    TurnReport report = at.report;
    TurnCosts costs = recorder.resumed_turn();
    if (at.id == 0 || turn != at.report.turn) {
      report = begin_report(turn, samples.size(),
                            static_cast<std::size_t>(run.training.local_epochs), at.step);
      LocalTraining training(run, train, samples[device], static_cast<Index>(device),
                             local->joined);
      report.device_name = concat("device-", device);
      report.samples = samples[device].size();
      report.steps = training.steps();
      net::GlobalModel sent;
      sent.key = {number, report.turn, 0};
      sent.round = report.round;
      sent.first_step = at.step;
      sent.order_seed = run.seed;
      sent.learning_rate = run.turn_rate(turn);
      sent.model = model_state(net);
      const Result<net::GlobalModel> arrived =
          with_messages ? links[device].pass(sent, false) : Result<net::GlobalModel>(sent);
      if (!arrived) return arrived.failure();
      const Result<void> begun = training.begin(arrived.value());
      if (!begun) return begun.failure();
      while (!training.done()) {
        Result<StepOutcome> step = training.step();
        if (!step) return step.failure();
        recorder.on_step(report, training.steps_done() - 1, training.last_batch(), step->loss);
        // What this device has done is lost: its training is no part of a barrier.
        if (hooks.should_stop != nullptr && hooks.should_stop(hooks.context))
          return recorder.stopped(at.step);
      }
      const net::LocalModel trained = training.finish();
      const Result<net::LocalModel> answer =
          with_messages ? links[device].pass(trained, true) : Result<net::LocalModel>(trained);
      if (!answer) return answer.failure();
      const Result<void> good = check_local_model(answer.value(), sent, report.samples,
                                                  report.steps, report.epochs.size());
      if (!good) return good.failure();
      mean.add(answer.value().model, answer.value().samples);
      for (std::size_t e = 0; e < report.epochs.size(); ++e) {
        const net::EpochResult& seen = answer.value().results[e];
        report.epochs[e] = {seen.loss_sum, seen.samples, seen.correct, 0};
        report.costs[e] = answer.value().costs[e];
      }
      if (device + 1 == samples.size()) mean.store(net);
      at = {at.id + 1, report.first_step + report.steps, report};
      const LinkTraffic all = total();
      const net::Microseconds done = net::steady_now();
      costs = {.wall_us = done - start,
               .bytes_up = all.up.total_bytes() - before.up.total_bytes(),
               .bytes_down = all.down.total_bytes() - before.down.total_bytes()};
      const Result<void> written =
          recorder.write_barrier(state, at, all.up, all.down, sizes, costs);
      if (!written) return written.failure();
      costs.barrier_us = net::steady_now() - done;
    }
    const Result<void> booked = recorder.on_turn(report, costs, sizes, global->joined);
    if (!booked) return booked.failure();
  }
  const LinkTraffic all = total();
  return recorder.finish(net, all.up, all.down, sizes);
}

}  // namespace split
IOTSL_NAMESPACE_END
