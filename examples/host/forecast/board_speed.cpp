#include "host/forecast/board_speed.hpp"

#include <cstdlib>

#include "bench/report/report.hpp"
#include "iotsl/core/files/file.hpp"

namespace iotsl::tool {
namespace {

struct FoundRow {
  const bench::Row* row = nullptr;
  Index batch = 0;
};

/// Of the rows PREFIX/nBATCH the one with the nearest batch, and of these the one with the most
/// threads.
FoundRow nearest_row(const bench::Report& report, const std::string& prefix, Index batch) {
  FoundRow best;
  for (const bench::Row& row : report.rows) {
    if (row.name.rfind(prefix, 0) != 0) continue;
    const Index of_row = std::atol(row.name.c_str() + prefix.size());
    const auto distance = [&](Index n) { return std::abs(n - batch); };
    const bool better = best.row == nullptr || distance(of_row) < distance(best.batch) ||
                        (of_row == best.batch && row.threads > best.row->threads);
    if (of_row > 0 && better) best = {&row, of_row};
  }
  return best;
}

/// `operations` and those of the published net's part are of one sample, forward.
BoardSeconds scaled(const std::string& path, const std::string& prefix, Index batch,
                    std::int64_t operations, std::int64_t published) {
  const Result<std::string> text = read_text_file(path);
  if (!text) fail_command(ErrorCode::data, text.failure().message);
  const Result<bench::Report> report = bench::parse_report(*text);
  if (!report) fail_command(ErrorCode::data, path, ": ", report.failure().message);
  const FoundRow found = nearest_row(*report, prefix, batch);
  if (found.row == nullptr)
    fail_command(ErrorCode::data, path, ": has no row ", prefix,
                 "BATCH; measure without --filter, with this version's iotsl-bench");
  const double factor = static_cast<double>(operations) * static_cast<double>(batch) /
                        (static_cast<double>(published) * static_cast<double>(found.batch));
  return {found.row->seconds.median * factor,
          concat(found.row->name, " with ", found.row->threads, " threads, times ", factor)};
}

/// The net of the rows.
ModelSummary published_net() {
  const ModelOptions published;
  const CutModel model = build(published);
  return summarize(model.layers, published.spec, model.front_layers);
}

}  // namespace

BoardSeconds device_step_on(const std::string& path, const ModelSummary& model, Index batch) {
  return scaled(path, "device_step/vgg16bn-compact/n", batch, model.front.operations,
                published_net().front.operations);
}

BoardSeconds server_step_on(const std::string& path, const ModelSummary& model, Index batch) {
  return scaled(path, "train_step/vgg16bn-compact/sgd/n", batch, model.back.operations,
                published_net().total.operations);
}

}  // namespace iotsl::tool
