#pragma once
// What the server demands of a device before it changes anything.

#include "iotsl/impute/histogram.hpp"
#include "iotsl/split/protocol/server/server_peer.hpp"

IOTSL_NAMESPACE_BEGIN
namespace split {

/// A device without a place asks again after so long.
inline constexpr std::uint32_t queue_interval_ms = 20000;

/// A place in the order of turns, or why there is none.
using HelloVerdict = std::variant<std::uint32_t, PeerFault>;

/// `devices`: who has, or had, which place; `begun`: each keeps its place; `quarantine`: whose
/// place is free because it has left for good.
inline HelloVerdict check_hello(const ServerPlan& plan, const net::Hello& hello,
                                const std::vector<DeviceRecord>& devices, bool begun,
                                const Quarantine& quarantine) {
  const auto reject = [](net::WireError code, const auto&... parts) {
    return PeerFault{code, concat(parts...)};
  };
  const std::string& wanted = plan.offer.description.dataset;
  if (hello.version_min > net::protocol_major || hello.version_max < net::protocol_major)
    return reject(net::WireError::version, "device '", hello.device, "' speaks ISL version ",
                  hello.version_max, ", this server ", net::protocol_major);
  if (!plan.format.is_exact() && (hello.capabilities & net::wire_codings_capability) == 0)
    return reject(net::WireError::version, "the run sends batches in ", plan.format.text(),
                  ", which the program of device '", hello.device, "' cannot");
  if (averages(plan.offer.description.method) &&
      (hello.capabilities & net::whole_net_capability) == 0)
    return reject(net::WireError::version,
                  "the run's devices train the whole net (--method fedavg), which the program of "
                  "device '",
                  hello.device, "' cannot");
  if (plan.may_unfreeze && (hello.capabilities & net::unfreezing_capability) == 0)
    return reject(net::WireError::version,
                  "the run may train the front later (--unfreeze-on-plateau), which the program of "
                  "device '",
                  hello.device, "' cannot");
  if (hello.dataset != wanted)
    return reject(net::WireError::data_mismatch, "the run trains on '", wanted, "', device '",
                  hello.device, "' has '", hello.dataset, "'");
  if (hello.samples < 2)
    return reject(net::WireError::data_mismatch, "device '", hello.device, "' has ", hello.samples,
                  hello.samples == 1 ? " sample" : " samples", ", at least 2 are needed");
  // Left for good by another device, and nobody has taken it since. Its turn must be over, so that
  // nobody goes on with it on other samples.
  const auto is_left = [&](std::uint32_t place) {
    return begun && quarantine.is_gone(place) && devices[place].connection == 0 &&
           devices[place].name != hello.device;
  };
  std::uint32_t index = hello.index;
  if (index == net::any_index) {
    // The place that it had, else the first free one, else one that was left.
    const auto first = [&](const auto& is_wanted) {
      std::uint32_t place = 0;
      while (place < plan.order.devices && !is_wanted(place)) ++place;
      return place;
    };
    index = first([&](std::uint32_t place) {
      const DeviceRecord& its = devices[place];
      return its.name == hello.device &&
             (its.connection == 0 || its.boot_nonce == hello.boot_nonce);
    });
    // Before a server that starts again has seen them all: first who had the place, then who had
    // none.
    const auto was_of = [&](std::uint32_t place) {
      return place < plan.places.size() ? std::string_view(plan.places[place]) : std::string_view();
    };
    const auto fits = [&](std::uint32_t place) {
      return place >= plan.expected.fingerprints.size() ||
             plan.expected.fingerprints[place] == Sha256Digest{} ||
             plan.expected.fingerprints[place] == hello.data_fingerprint;
    };
    const auto first_free = [&](bool only_fitting) {
      for (const std::string_view former : {std::string_view(hello.device), std::string_view()})
        if (index == plan.order.devices)
          index = first([&](std::uint32_t place) {
            return devices[place].name.empty() && was_of(place) == former &&
                   (!only_fitting || fits(place));
          });
    };
    first_free(true);
    if (index == plan.order.devices) index = first(is_left);
    if (index == plan.order.devices) first_free(false);  // it is told whose samples are expected
    if (index == plan.order.devices) {
      PeerFault full =
          reject(net::WireError::full, "the run has places 0 to ", index - 1,
                 " and no free one for '", hello.device, "' until one is left for good");
      full.retry_after_ms = queue_interval_ms;
      return full;
    }
  }
  if (index >= plan.order.devices)
    return reject(net::WireError::full, "the run has places 0 to ", plan.order.devices - 1,
                  ", device '", hello.device, "' asks for ", index);
  const DeviceRecord& known = devices[index];
  if (!begun && quarantine.is_gone(index) && known.name != hello.device) {
    PeerFault early = reject(net::WireError::full, "place ", index, ", which '", known.name,
                             "' has left, is free once the run has begun");
    early.retry_after_ms = queue_interval_ms;
    return early;
  }
  if (!known.name.empty() && (begun || known.connection != 0) && !is_left(index)) {
    if (known.name != hello.device)
      return reject(net::WireError::full, "place ", index, " is taken by '", known.name, "'");
    // One that the server knows from the run's books only has no label counts.
    const bool is_known = !known.label_counts.empty();
    if (is_known &&
        (known.samples != hello.samples || known.data_fingerprint != hello.data_fingerprint))
      return reject(net::WireError::data_mismatch, "device '", hello.device,
                    "' holds other samples than when it first joined");
    // The same program takes over from its own dead connection; another one has to wait for it.
    if (known.connection != 0 && known.boot_nonce != hello.boot_nonce) {
      PeerFault busy = reject(net::WireError::full, "place ", index, " is taken by another '",
                              known.name, "' that is still connected");
      busy.retry_after_ms = 5000;
      return busy;
    }
  }
  const std::vector<Sha256Digest>& fingerprints = plan.expected.fingerprints;
  if (!fingerprints.empty() && fingerprints[index] != Sha256Digest{} &&
      fingerprints[index] != hello.data_fingerprint)
    return reject(net::WireError::data_mismatch, "device '", hello.device,
                  "' holds other samples than the manifest's device ", index,
                  ", or names them by a secret of its own (--private), as private runs do");
  return index;
}

/// Whether the device of `hello` may have the place of one that was put aside: where that has left
/// for good, and the run was not prepared with other data than the newcomer's.
inline bool may_take_place(const ServerPlan& plan, const QuarantinedDevice& aside,
                           const net::Hello& hello) {
  return aside.gone && aside.name != hello.device &&
         (!has_generators(plan.offer.description.method) ||
          aside.label_counts.empty() ||  // known from the run's books only
          aside.data_fingerprint == to_hex(hello.data_fingerprint));
}

/// What somebody named `name` is told who comes for the place of a device that was put aside and
/// cannot have it. It is of no use to come again before the device is released.
inline PeerFault refuse_quarantined(const QuarantinedDevice& device, const std::string& name) {
  if (device.gone && name == device.name)
    return {
        net::WireError::left,
        concat("device '", name, "' has left the run for good, until somebody at the server says: ",
               release_command(name))};
  if (device.gone)
    return {net::WireError::data_mismatch,
            concat("device '", name, "' holds other samples than '", device.name,
                   "', which has left "
                   "place ",
                   device.device, ": the run was prepared with those")};
  if (name != device.name)
    return {net::WireError::full, concat("place ", device.device, " is taken by '", device.name,
                                         "', which is in quarantine")};
  return {net::WireError::run_failed,
          concat("device '", name, "' is in quarantine until somebody at the server says: ",
                 release_command(name), "; ", device.reason)};
}

/// `samples` of the device in place `index`; `trained`: samples per class of the generator that the
/// server has of it, empty where it has none.
inline Result<void> check_label_hist(const ServerPlan& plan, const net::LabelHist& hist,
                                     std::uint64_t samples, std::uint32_t index,
                                     std::span<const std::uint64_t> trained) {
  std::uint64_t sum = 0;  // of at most 4096 counts below 2^30
  for (std::size_t c = 0; c < hist.counts.size(); ++c) {
    if (hist.counts[c] > static_cast<std::uint64_t>(impute::max_class_count))
      return failure(ErrorCode::network, "LABEL_HIST has ", hist.counts[c], " samples of class ", c,
                     ", expected 0 to ", impute::max_class_count);
    sum += hist.counts[c];
  }
  if (hist.counts.size() != plan.offer.description.classes || sum != samples)
    return failure(ErrorCode::network, "LABEL_HIST has ", hist.counts.size(), " classes and ", sum,
                   " samples, expected ", plan.offer.description.classes, " and ", samples);
  const auto& expected = plan.expected.label_counts;
  for (std::size_t c = 0; !expected.empty() && c < hist.counts.size(); ++c)
    if (hist.counts[c] != expected[index][c])
      return failure(ErrorCode::usage, "the device in place ", index, " holds ", hist.counts[c],
                     " samples of class ", c, ", the run's manifest gives it ", expected[index][c]);
  for (std::size_t c = 0; c < std::min(trained.size(), hist.counts.size()); ++c)
    if (trained[c] != 0 && hist.counts[c] == 0)
      return failure(ErrorCode::usage, "the generator that the server has of device ", index,
                     " was trained on class ", c, ", of which the device holds no sample");
  return {};
}

/// TURN_ACCEPT of the turn that was granted.
inline Result<void> check_turn_accept(const net::TurnAccept& accepted, const net::TurnKey& key) {
  if (accepted.key == key) return {};
  return failure(ErrorCode::network, "TURN_ACCEPT of turn ", accepted.key.turn, ", expected turn ",
                 key.turn);
}

/// BARRIER_ACK of the barrier that was asked for, in a turn of so many epochs.
inline Result<void> check_barrier_ack(const net::BarrierAck& ack, const net::Barrier& barrier,
                                      std::size_t epochs) {
  if (ack.key == barrier.key && ack.id == barrier.id && ack.step == barrier.step &&
      ack.costs.size() == epochs)
    return {};
  return failure(ErrorCode::network, "BARRIER_ACK of barrier ", ack.id, " at step ", ack.step,
                 ", expected ", barrier.id, " at ", barrier.step);
}

/// TURN_DONE behind the turn's last barrier.
inline Result<void> check_turn_done(const net::TurnDone& done, const net::TurnDone& expected) {
  if (done.key == expected.key && done.last_step == expected.last_step &&
      done.hash == expected.hash)
    return {};
  return failure(ErrorCode::network, "TURN_DONE at step ", done.last_step,
                 " does not match the barrier at step ", expected.last_step);
}

/// The batches of a turn, as its device counts them; `samples` that it goes over in one epoch.
inline Result<void> check_turn_steps(const TurnReport& turn, std::uint64_t steps,
                                     std::uint64_t samples) {
  const std::uint64_t most = samples * turn.epochs.size();
  if (steps != 0 && steps <= most && steps % turn.epochs.size() == 0 &&
      (turn.steps == 0 || steps == turn.steps))
    return {};
  return failure(ErrorCode::network, "TURN_ACCEPT of turn ", turn.turn, " with ", steps,
                 " steps, expected ", turn.steps == 0 ? "1" : std::to_string(turn.steps), " to ",
                 turn.steps == 0 ? most : turn.steps);
}

/// LOCAL_MODEL of a turn of so many samples and steps. The net in it is looked at where it is used.
inline Result<void> check_local_model(const net::LocalModel& model, const net::TurnKey& key,
                                      std::uint64_t samples, std::uint64_t steps,
                                      std::size_t epochs) {
  if (model.key != key || model.samples != samples || model.steps != steps ||
      model.results.size() != epochs || model.costs.size() != epochs)
    return failure(ErrorCode::network, "LOCAL_MODEL of turn ", model.key.turn, ": ", model.samples,
                   " samples, ", model.steps, " steps, ", model.results.size(),
                   " epochs; expected turn ", key.turn, ": ", samples, " samples, ", steps,
                   " steps, ", epochs, " epochs");
  for (const net::EpochResult& seen : model.results)
    if (seen.samples != samples || seen.correct > samples)
      return failure(ErrorCode::network, "LOCAL_MODEL of turn ", model.key.turn, ": ", seen.correct,
                     " of ", seen.samples, " samples correct; expected of ", samples);
  return {};
}

/// Form, sizes and labels of a batch; its values are looked at where they are used.
inline Result<void> check_step(const ServerPlan& plan, const net::Step& step,
                               const net::BatchForm& form) {
  const std::uint64_t n = step.labels.size();
  if (form.dtype != net::type_number(plan.format.smashed))
    return failure(ErrorCode::network, "STEP ", step.step, ": dtype ", int{form.dtype},
                   ", expected that of ", plan.format.smashed);
  if (n < 2 || n > plan.largest_batch ||
      step.smashed.size() != plan.format.smashed_bytes(n, plan.smashed_values))
    return failure(ErrorCode::network, "STEP ", step.step, ": ", n, " labels and ",
                   step.smashed.size(), " bytes, expected 2 to ", plan.largest_batch, " and ",
                   plan.format.smashed_bytes(1, plan.smashed_values), " for each");
  std::uint64_t values = form.shape.empty() ? 0 : 1;
  for (std::uint32_t extent : form.shape) values *= extent;
  if (values != n * plan.smashed_values || form.shape[0] != n)
    return failure(ErrorCode::network, "STEP ", step.step, ": its shape is not that of ", n,
                   " smashed samples");
  for (std::int32_t label : step.labels)
    if (label < 0 || label >= std::int32_t{plan.offer.description.classes})
      return failure(ErrorCode::network, "STEP ", step.step, ": label ", label, " of ",
                     plan.offer.description.classes, " classes");
  return {};
}

}  // namespace split
IOTSL_NAMESPACE_END
