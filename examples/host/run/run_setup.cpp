#include "host/run/run_setup.hpp"

#include "host/options/added_epochs.hpp"
#include "host/options/link_option.hpp"
#include "iotsl/split/halves/replay.hpp"

namespace iotsl::tool {

RunData load_run_data(RunOptions& o) {
  // Over sockets the devices read their own samples: the server needs the labels only, but where it
  // packs the samples for them.
  const bool pixels = o.transport != "tcp" || needs_packing(o.data);
  RunData out{expect(load_set(o.data, data::Split::train, pixels)),
              expect(load_set(o.data, data::Split::test))};
  expect(data::check_same_shape(out.train, out.test));
  o.set_name = out.train.name;
  o.center_crop = out.train.center_crop;
  o.class_names.clear();
  for (Index c = 0; c < out.train.classes; ++c)
    o.class_names.push_back(data::class_name(out.train, c));
  o.model.spec.images = {out.train.channels, out.train.height, out.train.width, out.train.classes};
  if (o.data.limit_test > 0)
    out.test = data::limit_samples(out.test, o.data.limit_test, data::test_part_seed);
  return out;
}

data::Dataset load_samples(const RunOptions& o, const data::Dataset& train,
                           const std::vector<Index>& samples) {
  if (!train.pixels.empty()) return data::select_samples(train, samples);
  return expect(data::load_dataset(o.data.dataset, o.data.folder, data::Split::train, &samples));
}

data::Dataset load_validation(const RunOptions& o, const data::Dataset& train,
                              const data::Manifest& manifest) {
  if (o.data.validation > 0 && manifest.validation.empty())
    fail_command(ErrorCode::data, "--validation ", o.data.validation,
                 ": the manifest of the run lists no validation part");
  if (manifest.validation.empty()) return data::empty_like(train);
  return load_samples(o, train, manifest.validation);
}

ModelCard card_of(const RunOptions& o) {
  return {o.model.spec, o.model.cut, o.center_crop, o.set_name, o.class_names};
}

std::optional<net::LinkSpeed> link_of(const RunOptions& o) { return parse_link_option(o.link); }

split::RunConfig to_config(const RunOptions& o) {
  if (o.training.optimizer.kind == OptimizerKind::adam && o.training.optimizer.momentum != 0)
    fail_command(ErrorCode::usage, "--momentum ", o.training.optimizer.momentum,
                 ": only for --optimizer sgd");
  split::RunConfig config{.method = o.method,
                          .dataset = o.set_name.empty() ? o.data.dataset : o.set_name,
                          .class_names = o.class_names,
                          .model = o.model.spec,
                          .cut = o.model.cut,
                          .devices = pools_data(o.method) ? 1 : o.data.devices,
                          .order = o.order,
                          .participation = o.participation,
                          .training = o.training,
                          .server_precision = o.server_precision,
                          .added = parse_added_epochs(o.added_epochs),
                          .preparation = o.preparation,
                          .seed = o.data.seed,
                          .init = o.init,
                          .out = o.out,
                          .resume = !o.resume.empty(),
                          .barriers = o.barriers,
                          .offline_seconds = o.offline_seconds,
                          .min_devices = o.min_devices,
                          .start_with = o.start_with,
                          .cache_limit_gib = o.cache_limit_gib,
                          .unfreeze_on_plateau = o.unfreeze_on_plateau,
                          .resume_command = {}};
  TrainingOptions& training = config.training;
  training.epochs = all_epochs(o);
  if (training.eval_every == 0) training.eval_every = scheduled_epochs(o);
  gan::GanSettings gan = expect(gan::gan_preset(o.gan_preset));
  if (!o.gan.empty()) gan.generator = o.gan;
  if (o.gan_width > 0) gan.width = o.gan_width;
  if (o.gan_iterations > 0) gan.iterations = o.gan_iterations;
  config.preparation.generator = generator_settings(o.generator, std::move(gan));
  expect(split::check_config(config));
  if (training.replay > 0) {
    const CutModel model = build(o.model);
    const Sequential<float> front = model.layers.slice(0, model.front_layers);
    expect(split::ReplayMemory::check(training.replay, config.devices,
                                      front.output_shape(sample_shape(config.model)).value()));
  }
  return config;
}

}  // namespace iotsl::tool
