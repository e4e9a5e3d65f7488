#pragma once
// Golden cases of the WGAN-GP losses: values and the gradient of every parameter of both networks.

#include "golden/golden_case.hpp"
#include "iotsl/gan/wgan_gp.hpp"

namespace golden {

template <class T>
class GanRun {
 public:
  GanRun(Case& file, Names& problems)
      : file_(file),
        problems_(problems),
        images_{file.integer({"channels"}, 1), file.integer({"height"}, 28),
                file.integer({"width_px"}, 28), file.integer({"classes"}, 10)},
        width_(file.integer({"width"}, 64)),
        labels_(file.labels("input.labels")) {
    int compared = 0;
    if (file.has("input.critic.conv1.weight")) compared += critic();
    if (file.has("input.generator.linear.weight")) compared += generator();
    if (compared == 0) fail("no expected 'output.*' or 'grad.*' of a network that the file holds");
  }

 private:
  using Parameters = std::vector<iotsl::NamedTensor<T>>;

  /// Takes over every parameter and buffer of `net`.
  template <class Net>
  void load(const Net& net, const std::string& prefix) {
    const auto state = iotsl::collect_state(net);
    for (const Parameters* list : {&state.parameters, &state.buffers})
      for (iotsl::NamedTensor<T> entry : *list) {
        const std::string name = "input." + prefix + entry.name;
        const Tensor<T> given = file_.tensor<T>(name);
        if (!(given.shape() == entry.tensor.shape()))
          fail("tensor '", name, "' has shape ", given.shape(), ", the network's is ",
               entry.tensor.shape());
        std::copy_n(given.data(), given.size(), entry.tensor.mutable_data());
      }
  }

  int check(const std::string& name, const Tensor<T>& actual) {
    if (!file_.has(name)) return 0;
    compare(file_, name, actual.detach(), problems_);
    return 1;
  }
  int check_gradients(const Tensor<T>& loss, const Parameters& parameters,
                      const std::string& prefix) {
    std::vector<Tensor<T>> leaves;
    for (const auto& entry : parameters) leaves.push_back(entry.tensor);
    const auto grads = iotsl::grad<T>({loss}, leaves);
    int compared = 0;
    for (std::size_t i = 0; i < grads.size(); ++i)
      compared += check("grad." + prefix + parameters[i].name, grads[i]);
    return compared;
  }

  int critic() {
    iotsl::CriticNet<T> net(images_, width_);
    load(net, "critic.");
    iotsl::gan::CriticLossOptions options;
    options.penalty = file_.real({"penalty"}, options.penalty);
    options.drift = file_.real({"drift"}, options.drift);
    options.norm_eps = file_.real({"eps", "norm_eps"}, options.norm_eps);
    const auto loss = iotsl::gan::critic_loss<T>(net, file_.tensor<T>("input.real"),
                                                 file_.tensor<T>("input.fake"), labels_,
                                                 file_.tensor<T>("input.alpha"), options);
    return check("output.critic_loss", loss.total) +
           check("output.wasserstein", Tensor<T>::scalar(static_cast<T>(loss.wasserstein))) +
           check("output.penalty", Tensor<T>::scalar(static_cast<T>(loss.penalty))) +
           check_gradients(loss.total, net.parameters(), "critic.");
  }

  int generator() {
    iotsl::GeneratorSpec spec;
    spec.images = images_;
    spec.width = width_;
    spec.latent = file_.integer({"latent"}, 10);
    spec.light = file_.boolean({"light"}, false);
    iotsl::GeneratorNet<T> net(spec);
    load(net, "generator.");
    iotsl::CriticNet<T> critic(images_, width_);
    load(critic, "critic.");
    const Tensor<T> noise = file_.tensor<T>("input.noise");
    const Tensor<T> loss = iotsl::gan::generator_loss<T>(critic, net, noise, labels_);
    return check("output.images", net.forward(noise, labels_)) +
           check("output.generator_loss", loss) +
           check_gradients(loss, net.parameters(), "generator.");
  }

  Case& file_;
  Names& problems_;
  iotsl::ImageSpec images_;
  Index width_;
  std::vector<std::int32_t> labels_;
};

}  // namespace golden
