#pragma once
// Golden cases that are not one operation: optimisers, learning rates, training steps of a model.

#include "golden/golden_case.hpp"
#include "iotsl/autograd/grad.hpp"
#include "iotsl/models/model.hpp"
#include "iotsl/nn/layers/all.hpp"
#include "iotsl/optim/optimizer.hpp"
#include "iotsl/options/schedule.hpp"

namespace golden {

inline iotsl::OptimizerOptions optimizer_options(Case& file, const std::string& name) {
  iotsl::OptimizerOptions out;
  auto kind = iotsl::parse_optimizer(name);
  if (!kind) fail(kind.failure().message);
  out.kind = *kind;
  out.lr = file.real({"lr", "learning_rate"}, out.kind == iotsl::OptimizerKind::adam ? 1e-3 : 1e-2);
  out.weight_decay = file.real({"weight_decay"}, 0);
  if (out.kind == iotsl::OptimizerKind::sgd) {
    out.momentum = file.real({"momentum"}, 0);
    out.nesterov = file.boolean({"nesterov"}, false);
    if (file.real({"dampening"}, 0) != 0) fail("attribute 'dampening': only 0 is supported");
  } else {
    if (const Json* betas = file.attribute({"betas"})) {
      if (!betas->is_array() || betas->size() != 2) fail("attribute 'betas' must be a pair");
      out.beta1 = betas->as_array()[0].as_double();
      out.beta2 = betas->as_array()[1].as_double();
    }
    out.beta1 = file.real({"beta1"}, out.beta1);
    out.beta2 = file.real({"beta2"}, out.beta2);
    out.eps = file.real({"eps"}, 1e-8);
    file.only("amsgrad", false);
  }
  file.only("maximize", false);
  return out;
}

/// A parameter under a list of gradients: input.param, input.grad.0, input.grad.1, ... The expected
/// parameter after step k is output.param.k, after all steps output.param or output.0; the state
/// after all steps is output.momentum_buffer, output.exp_avg, output.exp_avg_sq.
template <class T>
void run_optimizer(Case& file, const std::string& name, Names& problems) {
  Tensor<T> parameter = file.tensor<T>(file.has("input.0") ? "input.0" : "input.param");
  parameter.set_requires_grad();
  iotsl::Optimizer<T> optimizer({{"param", parameter}}, optimizer_options(file, name));
  int step = 0;
  for (; file.has(concat("input.grad.", step)); ++step) {
    optimizer.step({file.tensor<T>(concat("input.grad.", step))});
    const std::string expected = concat("output.param.", step);
    if (file.has(expected)) compare(file, expected, parameter.detach(), problems);
  }
  if (step == 0) fail("tensor 'input.grad.0' is missing");
  bool compared = file.has(concat("output.param.", step - 1));
  for (const char* last : {"output.param", "output.0"}) {
    if (!file.has(last)) continue;
    compare(file, last, parameter.detach(), problems);
    compared = true;
  }
  if (!compared) fail("tensor 'output.param' is missing");
  for (const iotsl::NamedTensor<T>& slot : optimizer.state()) {
    const std::string expected = "output." + slot.name.substr(slot.name.find('.') + 1);
    if (file.has(expected)) compare(file, expected, slot.tensor, problems);
  }
}

/// The learning rates before steps 0, 1, ... in output.0.
template <class T>
void run_schedule(Case& file, Names& problems) {
  auto schedule = iotsl::parse_schedule(file.string({"kind", "schedule"}, ""));
  if (!schedule) fail(schedule.failure().message);
  const double rate = file.real({"lr", "learning_rate"}, 0.1);
  const std::string name = file.first_of({"output.0", "output.lr", "output"});
  if (name.empty()) fail("tensor 'output.0' is missing");
  Tensor<T> rates = file.tensor<T>(name).clone();
  const Index steps = file.integer({"steps", "total", "total_steps"}, rates.size());
  for (Index step = 0; step < rates.size(); ++step)
    rates.mutable_data()[step] = static_cast<T>(iotsl::learning_rate(*schedule, rate, step, steps));
  compare(file, name, rates, problems);
}

/// Training steps of a model from a given state. Tensors: initial.NAME, input.K, labels.K (mean
/// cross-entropy) or cotangent.K (the gradient of the output); expected, each where the file has
/// it: output.K, loss.K, final.NAME.
template <class T>
class TrainRun {
 public:
  TrainRun(Case& file, Names& problems) : file_(file), problems_(problems) {
    build();
    load();
    iotsl::Optimizer<T> optimizer(model_.parameters(),
                                  optimizer_options(file, file.string({"optimizer"}, "sgd")));
    Index step = 0;
    for (; file.has(concat("input.", step)); ++step) {
      one_step(step);
      optimizer.step();
    }
    if (step == 0) fail("tensor 'input.0' is missing");
    check_final();
  }

 private:
  void build() {
    if (const Json* layers = file_.attribute({"layers"})) {
      Shape sample = file_.tensor<T>("input.0").shape();
      sample.set(0, 1);
      auto built = iotsl::build_layers(*layers, sample, iotsl::AllLayers<T>::template types<T>());
      if (!built) fail("attribute 'layers': ", built.failure().message);
      model_ = std::move(built).value();
      return;
    }
    iotsl::ModelSpec spec;
    spec.name = file_.string({"model", "name"}, spec.name);
    spec.width = file_.integer({"width"}, spec.width);
    iotsl::ImageSpec& images = spec.images;
    images.classes = file_.integer({"classes"}, images.classes);
    images.channels = file_.integer({"in_channels"}, images.channels);
    images.height = file_.integer({"height", "size"}, images.height);
    images.width = file_.integer({"width_px", "size"}, images.width);
    const iotsl::Sequential<T> whole = iotsl::build_model<T>(spec);
    const auto cut = iotsl::find_cut(whole, spec, cut_attribute());
    if (!cut) fail(cut.failure().message);
    const std::string part = file_.string({"part"}, "whole");
    if (part != "whole" && part != "front" && part != "back")
      fail("attribute 'part' is '", part, "', expected whole, front or back");
    model_ = whole.slice(part == "back" ? *cut : 0, part == "front" ? *cut : whole.size());
  }
  std::string cut_attribute() {
    const Json* cut = file_.attribute({"cut"});
    if (cut == nullptr) return {};
    return cut->is_string() ? cut->as_string() : to_text(*cut);
  }

  void load() {
    for (auto& [name, tensor] : tensors()) {
      const Tensor<T> given = file_.tensor<T>("initial." + name);
      if (!(given.shape() == tensor.shape()))
        fail("tensor 'initial.", name, "' has shape ", given.shape(), ", the model's is ",
             tensor.shape());
      std::copy_n(given.data(), given.size(), tensor.mutable_data());
    }
    for (auto& [name, counter] : model_.counters()) {
      const std::string given = "initial." + name;
      if (file_.has(given))
        counter.set(static_cast<std::int64_t>(file_.tensor<double>(given).item()));
    }
  }

  void one_step(Index step) {
    const Tensor<T> y = model_.forward(file_.tensor<T>(concat("input.", step)), {.training = true});
    const std::string output = concat("output.", step), loss_name = concat("loss.", step);
    if (file_.has(output)) compare(file_, output, y.detach(), problems_);
    const std::string labels = concat("labels.", step);
    if (!file_.has(labels)) {
      iotsl::backward(y, file_.tensor<T>(concat("cotangent.", step)));
      return;
    }
    const Tensor<T> loss = iotsl::softmax_cross_entropy(y, file_.labels(labels));
    if (file_.has(loss_name)) compare(file_, loss_name, loss.detach(), problems_);
    iotsl::backward(loss);
  }

  void check_final() {
    if (file_.names_with("final.").empty() && file_.names_with("loss.").empty())
      fail("neither 'final.*' nor 'loss.*' is there to compare with");
    for (const auto& [name, tensor] : tensors())
      if (file_.has("final." + name)) compare(file_, "final." + name, tensor.detach(), problems_);
    for (const auto& [name, counter] : model_.counters()) {
      const std::string expected = "final." + name;
      if (!file_.has(expected)) continue;
      const double value = file_.tensor<double>(expected).item();
      if (static_cast<double>(counter.value()) != value)
        problems_.push_back(concat(expected, ": ", counter.value(), ", expected ", value));
    }
  }

  std::vector<iotsl::NamedTensor<T>> tensors() const {
    auto out = model_.parameters();
    for (auto& buffer : model_.buffers()) out.push_back(buffer);
    return out;
  }

  Case& file_;
  Names& problems_;
  iotsl::Sequential<T> model_;
};

}  // namespace golden
