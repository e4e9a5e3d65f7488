#include "host/options/added_epochs.hpp"

#include "host/files/json_file.hpp"
#include "iotsl/core/files/file.hpp"

namespace iotsl::tool {
namespace {

/// Device epochs of a round.
Index round_epochs(const RunOptions& o) {
  const TurnOrder order{
      .devices = static_cast<std::uint32_t>(pools_data(o.method) ? 1 : o.data.devices),
      .participation = o.participation};
  return static_cast<Index>(order.round_turns()) * o.training.local_epochs;
}

/// Device epochs of so many rounds.
Index epochs_of(const RunOptions& o, Index rounds) {
  if (rounds > epochs_range.most / round_epochs(o))
    fail_command(ErrorCode::usage, "--rounds ", rounds, ": expected at most ",
                 epochs_range.most / round_epochs(o), ", rounds of ", round_epochs(o),
                 " device epochs");
  return rounds * round_epochs(o);
}

}  // namespace

std::vector<split::AddedEpochs> parse_added_epochs(const std::string& text) {
  std::vector<split::AddedEpochs> out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string part = text.substr(at, end - at);
    char *after_epochs = nullptr, *after_rate = nullptr;
    split::AddedEpochs added;
    added.epochs = std::strtoll(part.c_str(), &after_epochs, 10);
    if (*after_epochs == '@') added.rate = std::strtod(after_epochs + 1, &after_rate);
    if (after_rate == nullptr || after_rate == after_epochs + 1 || *after_rate != 0 ||
        !epochs_range.has(added.epochs))
      fail_command(ErrorCode::usage, "--added-epochs ", text,
                   ": expected EPOCHS@RATE, such as 5@0.0001, or several with commas, each of at "
                   "most ",
                   epochs_range.most, " epochs");
    out.push_back(added);
    at = end + 1;
  }
  return out;
}

Index scheduled_epochs(const RunOptions& o) {
  return o.training.epochs > 0 ? o.training.epochs : epochs_of(o, std::max<Index>(1, o.rounds));
}

Index all_epochs(const RunOptions& o) {
  Index out = scheduled_epochs(o);
  for (const split::AddedEpochs& part : parse_added_epochs(o.added_epochs)) out += part.epochs;
  return out;
}

bool has_all_epochs(const RunOptions& o) {
  const std::string path = join_path(o.out, summary_name);
  if (!file_exists(path)) return false;
  const Json summary = read_json_object(path);
  const auto epochs = get_array(summary, "epochs");
  if (!epochs) fail_command(ErrorCode::data, path, ": ", epochs.failure().message);
  const Index wanted = o.preparation.generator_only ? 0 : all_epochs(o);
  return static_cast<Index>((*epochs)->size()) >= wanted;
}

std::optional<MoreEpochs> take_more_epochs(CLI::App& command, RunOptions& o) {
  if (command.count("--rounds") + command.count("--epochs") == 0) return std::nullopt;
  if (command.count("--lr") == 0)
    fail_command(ErrorCode::usage,
                 as_given(command, command.count("--rounds") > 0 ? "--rounds" : "--epochs"),
                 " with --resume: needs --lr, the constant rate of the added rounds; the schedule "
                 "of the run has come to its end");
  const MoreEpochs out{o.rounds, o.training.epochs, o.training.optimizer.lr};
  for (const char* option : {"--rounds", "--epochs", "--lr"}) command.get_option(option)->clear();
  o.rounds = o.training.epochs = 0;
  return out;
}

void add_epochs(RunOptions& o, const MoreEpochs& more) {
  const char* const option = more.rounds > 0 ? "--rounds " : "--epochs ";
  const Index given = std::max(more.rounds, more.epochs), in_round = round_epochs(o);
  const Index wanted = more.rounds > 0 ? epochs_of(o, more.rounds) : more.epochs;
  if (o.preparation.generator_only)
    fail_command(ErrorCode::usage, option, given, " with --resume: the run has no rounds");
  const std::vector<split::AddedEpochs> before = parse_added_epochs(o.added_epochs);
  // The same command once more, after a stop.
  if (!before.empty() && wanted == all_epochs(o) && before.back().rate == more.rate) return;
  if (wanted <= all_epochs(o))
    fail_command(ErrorCode::usage, option, given, " with --resume: the run has ",
                 more.rounds > 0 ? all_epochs(o) / in_round : all_epochs(o), " already; give more");
  if (!has_all_epochs(o))
    fail_command(ErrorCode::usage, option, given, ": the run in ", o.resume,
                 " is not complete; go on with it first, without ", option);
  o.added_epochs += concat(o.added_epochs.empty() ? "" : ",", wanted - all_epochs(o), "@",
                           to_text(Json(more.rate)));
  o.adds_epochs = true;
}

}  // namespace iotsl::tool
