// Descriptions and files that nets are built from: FRONT_INIT, weights, generators, checkpoints.

#include "fuzz/json_check.hpp"
#include "fuzz/seal.hpp"
#include "iotsl/data/count_table.hpp"
#include "iotsl/gan/training_state.hpp"
#include "iotsl/generators/generator_check.hpp"
#include "iotsl/models/net_file.hpp"
#include "iotsl/moments/trainer.hpp"
#include "iotsl/nn/foreign_state.hpp"
#include "iotsl/split/halves/front_description.hpp"
#include "iotsl/split/records/checkpoint.hpp"

namespace nets_fuzzer {
namespace {

using namespace iotsl;
using iotsl::fuzz::Bytes;
using iotsl::fuzz::bytes_from;
using iotsl::fuzz::chosen;
using iotsl::fuzz::expect;
using iotsl::fuzz::require;

LayerTypes<float> known_layers() { return AllLayers<float>::types<float>(); }

/// Bytes of the pool at the most while this lives, beyond those before it.
class PoolPeak {
 public:
  PoolPeak() : before_(iotsl::detail::MemoryPool::instance().statistics().in_use_bytes) {
    iotsl::detail::MemoryPool::instance().reset_peak();
  }
  std::size_t bytes() const {
    return iotsl::detail::MemoryPool::instance().statistics().peak_bytes - before_;
  }

 private:
  std::size_t before_;
};

Sequential<float> small_net() {
  Sequential<float> net;
  net.add("conv", Conv2d<float>(1, 4, 3, {.pad_h = 1, .pad_w = 1}));
  net.add("norm", BatchNorm2d<float>(4));
  net.add("relu", Relu<float>{});
  net.add("pool", MaxPool2d<float>{});
  net.add("flatten", Flatten<float>{});
  net.add("linear", Linear<float>(4 * 4 * 4, 3));
  return net;
}

// FRONT_INIT

constexpr LayerLimits small_limits{.state_values = 1 << 14,
                                   .values = 1 << 14,
                                   .layers = 64,
                                   .depth = split::front_limits.depth,
                                   .name_bytes = split::front_limits.name_bytes};

/// A description that was accepted gives a net of the size that was allowed, which can be described
/// again as the same.
void run_front(ByteSpan input) {
  const Shape sample{1, 1, 8, 8};
  const PoolPeak peak;
  const Result<Sequential<float>> net =
      split::build_front({input}, sample, known_layers(), small_limits);
  require(peak.bytes() <= 4 * sizeof(float) * (1 << 14) + (64 << 10), "a front takes ",
          peak.bytes(), " bytes");
  if (!net) return;
  std::uint64_t values = 0;
  for (const NamedTensor<float>& p : net->parameters())
    values += static_cast<std::uint64_t>(p.tensor.size());
  require(values <= 1 << 14, "a front has ", values, " parameters");
  const std::string text = to_text(describe_layers(*net));
  const Sequential<float> again = expect(
      split::build_front({bytes_of(std::string_view(text))}, sample, known_layers(), small_limits),
      "our own description");
  require(to_text(describe_layers(again)) == text, "a front changes when it is described");
  const Shape output = expect(net->output_shape(sample, small_limits.values), "the output's shape");
  require(output.elements() <= small_limits.values, "an output is too large");
}
std::vector<Bytes> front_seeds() {
  Residual<float> sum;
  sum.body.add("a", Linear<float>(5, 5));
  Sequential<float> nested;
  nested.add("flatten", Flatten<float>{});
  nested.add("linear", Linear<float>(64, 5));
  nested.add("around", sum);
  std::vector<Bytes> out = {bytes_from(to_text(describe_layers(small_net()))),
                            bytes_from(to_text(describe_layers(nested)))};
  // Every type once, with the fields that it has by itself.
  for (const LayerInfo<float>* info : known_layers()) {
    LayerFields<float> fields;
    AnyLayer<float>(*info).visit_fields(fields);
    Json layer = Json::object();
    layer["name"] = "a";
    layer["type"] = info->type;
    const Json own = fields.take();
    for (const JsonMember& member : own.as_object()) layer[member.key] = member.value;
    out.push_back(bytes_from(to_text(Json(JsonArray{layer}))));
  }
  return out;
}

// Weights

std::string description(const Sequential<float>& net) {
  Json out = Json::object();
  out["input"] = Json(JsonArray{1, 1, 8, 8});
  out["layers"] = describe_layers(net);
  return to_text(out);
}
void run_net_file(ByteSpan input) {
  const Result<SafeTensors> file =
      parse_safetensors(input, {.max_header_bytes = 8192, .max_tensors = 64});
  if (!file) return;
  const PoolPeak peak;
  const Result<Sequential<float>> net = iotsl::detail::read_net<float>(*file, known_layers());
  require(peak.bytes() <= 16 * input.size() + (64 << 10), "a file of ", input.size(),
          " bytes takes ", peak.bytes());
  if (!net) return;
  const std::vector<SafeTensor> views = state_views(*net);
  require(views.size() == file->tensors.size(), "tensors are lost");
  for (const SafeTensor& view : views) {
    const SafeTensor* const given = file->find(view.name);
    require(given != nullptr && fuzz::same_bytes(given->bytes, view.bytes), "tensor '", view.name,
            "' is not that of the file");
  }
}
/// Small values, since a file of zeros has nothing that could be lost.
Sequential<float> filled_net() {
  Sequential<float> net = small_net();
  net.allocate();
  for (NamedTensor<float>& p : net.parameters())
    for (Index i = 0; i < p.tensor.size(); ++i) p.tensor.mutable_data()[i] = 0.5f;
  return net;
}
std::vector<Bytes> net_file_seeds() {
  const Sequential<float> net = filled_net();
  Sequential<float> tiny;
  tiny.add("norm", BatchNorm2d<float>(1));
  tiny.allocate();
  return {expect(serialize_safetensors(state_views(net),
                                       {{std::string(net_metadata_key), description(net)}}),
                 "seed"),
          expect(serialize_safetensors(state_views(tiny),
                                       {{std::string(net_metadata_key), description(tiny)}}),
                 "seed")};
}

/// Weights of other programs for a net that is there.
void run_foreign_state(ByteSpan input) {
  const Result<SafeTensors> file =
      parse_safetensors(input, {.max_header_bytes = 4096, .max_tensors = 64});
  if (!file) return;
  Sequential<float> net;
  net.add("norm", BatchNorm2d<float>(2));
  net.add("linear", Linear<float>(2, 2));
  net.allocate();
  const Result<void> loaded = load_foreign_state(net, *file);
  if (!loaded) return;
  for (const NamedTensor<float>& p : net.parameters())
    require(all_finite(p.tensor), "tensor '", p.name, "' has NaN or Inf");
}
std::vector<Bytes> foreign_state_seeds() {
  const float values[4] = {1, 2, 3, 4};
  const double wide[4] = {1, 2, 3, 4};
  const std::uint16_t half[4] = {0x3C00, 0x0001, 0x8400, 0x7BFF};
  const std::int64_t count = 5;
  std::vector<Bytes> out;
  for (const DType narrow : {DType::f16, DType::bf16}) {
    const SafeTensor weight{"module.norm.weight", narrow, {2}, bytes_of(half, 2)};
    out.push_back(
        expect(serialize_safetensors({weight,
                                      safe_tensor("norm.bias", {2}, values, 2),
                                      safe_tensor("norm.running_mean", {2}, wide, 2),
                                      safe_tensor("model.norm.running_var", {2}, values, 2),
                                      safe_tensor("norm.num_batches_tracked", {}, &count, 1),
                                      safe_tensor("_orig_mod.linear.weight", {2, 2}, wide, 4),
                                      {"linear.bias", narrow, {2}, bytes_of(half + 2, 2)}}),
               "seed"));
  }
  return out;
}

// Generators

using generators::GeneratorFile;

generators::GeneratorCard small_card(generators::GeneratorKind kind) {
  generators::GeneratorCard card;
  card.settings.kind = kind;
  card.settings.net.width = 2;
  card.settings.net.latent = 2;
  card.images = {.height = 8, .width = 8, .classes = 2};
  card.dataset = "test";
  card.label_counts = card.trained_counts = {5, 7};
  return card;
}
GeneratorFile net_generator() {
  const generators::GeneratorCard card = small_card(generators::GeneratorKind::net);
  generators::NetGenerator net{
      GeneratorNet<float>(gan::generator_spec(card.settings.net, card.images))};
  net.net.initialize(1);
  return {card, std::move(net)};
}
GeneratorFile moments_generator() {
  generators::GeneratorCard card = small_card(generators::GeneratorKind::moments);
  card.settings.moments.noise = false;
  card.settings.moments.side = 3;
  card.settings.moments.max_coefs = 16;
  card.settings.moments.head_steps = 1;
  data::Dataset set;
  set.name = "test";
  set.height = set.width = 8;
  set.classes = 2;
  for (int i = 0; i < 12; ++i) {
    set.labels.push_back(static_cast<data::Label>(i >= 5));
    for (int p = 0; p < 64; ++p)
      set.pixels.push_back(static_cast<std::uint8_t>((i * 37 + p * p * 11) % 256));
  }
  set.full_size = 12;
  moments::Trainer trainer(set, data::count_up(12), card.settings.moments,
                           privacy::seeded_noise_key(1));
  while (!trainer.done()) trainer.step();
  return {card, moments::Generator(trainer.release())};
}

/// Whatever a peer sends: no more memory than the limit of its own card or a few times the file,
/// and images that are bytes.
void run_generator_file(ByteSpan input) {
  const Bytes sealed = fuzz::sealed_container(input);
  for (const ByteSpan bytes : {input, ByteSpan(sealed)}) {
    const PoolPeak peak;
    const Result<GeneratorFile> file = generators::parse_generator(bytes);
    require(peak.bytes() <= 16 * bytes.size() + (256 << 10), "a file of ", bytes.size(),
            " bytes takes ", peak.bytes());
    if (!file) continue;
    require(
        bytes.size() <= generators::generator_file_limit(file->card.settings, file->card.images) +
                            bytes.size() / 8 ||
            to_text(to_json_fields(file->card)).size() > (60 << 10),
        "a file is larger than its settings allow");
    const Bytes written = expect(generators::serialize_generator(*file), "what was read");
    const GeneratorFile again = expect(generators::parse_generator(written), "what was written");
    require(to_text(to_json_fields(again.card)) == to_text(to_json_fields(file->card)),
            "a card changes when its file is written");
    if (const generators::NetGenerator* const net = file->generator.net())
      require(state_sha256(again.generator.net()->net) == state_sha256(net->net),
              "weights change when their file is written");
    else
      require(
          again.generator.moments()->release().sums == file->generator.moments()->release().sums,
          "moments change when their file is written");
  }
}
/// A card of the largest net there is, with the weights of a small one.
Bytes boastful_file() {
  GeneratorFile file = net_generator();
  const auto weights = *serialize_safetensors(state_views(file.generator.net()->net));
  file.card.settings.net.width = 256;
  const std::string card = to_text(to_json_fields(file.card));
  return *serialize_container(generators::container_kind,
                              {{"card", bytes_of(std::string_view(card))}, {"weights", weights}});
}
std::vector<Bytes> generator_file_seeds() {
  return {boastful_file(), expect(generators::serialize_generator(net_generator()), "seed"),
          expect(generators::serialize_generator(moments_generator()), "seed")};
}

// Checkpoints and stopped trainings

void run_checkpoint(ByteSpan input) {
  static fuzz::MemoryFile file;
  static Sequential<float> net = [] {
    Sequential<float> made;
    made.add("norm", BatchNorm2d<float>(2));
    made.allocate();
    return made;
  }();
  static Optimizer<float> optimizer(net.parameters(), {.momentum = 0.9});
  const split::TrainingState state{net, {&optimizer}, {}};
  const Bytes sealed = fuzz::sealed_container(input);
  for (const ByteSpan bytes : {input, ByteSpan(sealed)}) {
    const std::string before = state_sha256(net);
    const std::int64_t steps = optimizer.steps();
    const Result<split::CheckpointRecord> record = split::read_checkpoint(file.fill(bytes), state);
    if (!record) {
      require(state_sha256(net) == before && optimizer.steps() == steps,
              "a checkpoint that is refused changes the state");
      continue;
    }
    fuzz::check_record(*record);
    require(optimizer.steps() >= 0, "an optimiser has taken ", optimizer.steps(), " steps");
  }
}
std::vector<Bytes> checkpoint_seeds() {
  Sequential<float> net;
  net.add("norm", BatchNorm2d<float>(2));
  net.allocate();
  Optimizer<float> optimizer(net.parameters(), {.momentum = 0.9});
  const split::TrainingState state{net, {&optimizer}, {}};
  split::CheckpointRecord record;
  record.barrier = {3, 30, split::begin_report({.devices = 5}, 1, 1, 20)};
  const std::string text = to_text(to_json_fields(record));
  std::vector<Section> sections{{"record", bytes_of(std::string_view(text))}};
  for (const split::StatePart& part : split::detail::state_parts(state))
    sections.push_back({part.name, ByteSpan(part.data, part.bytes)});
  return {expect(serialize_container(split::checkpoint_kind, sections), "seed")};
}

struct TrainingRecord {
  std::string training;
  std::uint64_t iterations = 0;
  template <class Self, class F>
  static void json_fields(Self& self, F& f) {
    f("training", self.training);
    f("iterations", self.iterations);
  }
};
constexpr const char* training_kind = "training";

void run_saved_training(ByteSpan input) {
  static fuzz::MemoryFile file;
  static const std::uint8_t extra[3] = {1, 2, 3};
  const std::vector<NamedTensor<float>> tensors = {{"a", Tensor<float>::zeros({2, 2})},
                                                   {"b", Tensor<float>::zeros({3})}};
  const Bytes sealed = fuzz::sealed_container(input);
  for (const ByteSpan bytes : {input, ByteSpan(sealed)}) {
    const auto saved = gan::SavedTraining::read(file.fill(bytes), training_kind, tensors,
                                                {{"extra", ByteSpan(extra)}});
    if (!saved || !saved->checked<TrainingRecord>("fingerprint")) continue;
    saved->copy_to(tensors);
    require(saved->extra("extra").size() == sizeof extra, "a section has another size");
  }
}
std::vector<Bytes> saved_training_seeds() {
  const std::string record = to_text(to_json_fields(TrainingRecord{"fingerprint", 3}));
  const float values[4] = {1, 2, 3, 4};
  const std::uint8_t extra[3] = {1, 2, 3};
  return {expect(serialize_container(training_kind, {{"record", bytes_of(std::string_view(record))},
                                                     {"a", bytes_of(values, 4)},
                                                     {"b", bytes_of(values, 3)},
                                                     {"extra", ByteSpan(extra)}}),
                 "seed")};
}

const fuzz::Registration registration{
    {"front_init", 2000, &run_front, &front_seeds},
    {"net_file", 4000, &run_net_file, &net_file_seeds},
    {"foreign_state", 2000, &run_foreign_state, &foreign_state_seeds},
    {"generator_file", 12000, &run_generator_file, &generator_file_seeds},
    {"checkpoint", 2500, &run_checkpoint, &checkpoint_seeds},
    {"saved_training", 1000, &run_saved_training, &saved_training_seeds},
};

}  // namespace
}  // namespace nets_fuzzer
