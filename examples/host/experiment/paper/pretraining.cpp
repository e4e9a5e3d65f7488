// Pre-training on generated images: Fig. 9, 10 and 13.

#include "host/experiment/paper/specs.hpp"

namespace iotsl::tool {

/// Figures 9 and 10, and the values sent of Fig. 11.
ExperimentSpec fig9() {
  return {
      .name = "fig9",
      .figure_mnist = "Fig. 9",
      .figure_fashion = "Fig. 10",
      .title = "pre-training on generated images saves device epochs",
      .about =
          "Five devices with equal shares of all classes. IoTSL trains a generator on each device "
          "and the network on what they generate, and goes on from there with split learning; SL "
          "begins with random weights. Compared is the first device epoch whose accuracy exceeds the "
          "threshold, and what was sent until then. Where the learning rate falls it falls over the "
          "same number of epochs in every run, however long the run is; the same with a constant "
          "rate stands beside it, on the same generators. The paper's times are those of five "
          "Raspberry Pis and a server with a GPU. With two recipes: the one that was best for both "
          "(Adam unless it was chosen; of ten settings none was better for either by more than one "
          "seed can tell), with which SL is there early; and with plain SGD at a small rate, "
          "calibrated so that SL alone is about as late as the paper's, and the same in the turns of "
          "IoTSL. Its pre-training is that of the first recipe there, too: the small rate was "
          "chosen for the turns.",
      .curves = {{"iotsl", "IoTSL", "Test accuracy", Method::iotsl, "iid", true, false},
                 {"sl", "SL", "Test accuracy", Method::split_learning, "iid"},
                 {"iotsl-constant", "IoTSL, constant rate", "Test accuracy", Method::iotsl, "iid",
                  true, false, true, "iotsl"},
                 {"sl-constant", "SL, constant rate", "Test accuracy", Method::split_learning,
                  "iid", false, false, true},
                 {"central", "one net, all data", "Test accuracy", Method::central, "iid"},
                 {.key = "iotsl-sgd",
                  .label = "IoTSL, calibrated SGD",
                  .panel = "Test accuracy, optimiser calibrated on SL",
                  .method = Method::iotsl,
                  .partition = "iid",
                  .pretrain = true,
                  .generators_of = "iotsl",
                  .calibrated = true},
                 {.key = "sl-sgd",
                  .label = "SL, calibrated SGD",
                  .panel = "Test accuracy, optimiser calibrated on SL",
                  .method = Method::split_learning,
                  .partition = "iid",
                  .calibrated = true}},
      .rows = {{"iotsl-sgd", Measure::epochs_until, {15}, {23}},
               {"sl-sgd", Measure::epochs_until, {97}, {77}},
               {"iotsl-sgd", Measure::epochs_until, {-84.5}, {-70.1}, "sl-sgd"},
               {"iotsl-sgd", Measure::pretrained, {98.23}, {87.78}},
               {"iotsl", Measure::epochs_until, {15}, {23}},
               {"sl", Measure::epochs_until, {97}, {77}},
               {"iotsl", Measure::epochs_until, {-84.5}, {-70.1}, "sl"},
               {"iotsl-constant", Measure::epochs_until, {}, {}},
               {"sl-constant", Measure::epochs_until, {}, {}},
               {"central", Measure::epochs_until, {}, {}},
               {"iotsl", Measure::values_until, {4.52e9}, {6.93e9}},
               {"sl", Measure::values_until, {2.92e10}, {2.32e10}},
               {"iotsl", Measure::seconds_until, {1.96 * 3600}, {3.01 * 3600}},
               {"sl", Measure::seconds_until, {12.28 * 3600}, {10.12 * 3600}},
               {"iotsl", Measure::best, {99.48}, {91.96}},
               {"sl", Measure::best, {99.48, "close to"}, {91.96, "close to"}},
               {"iotsl-constant", Measure::best, {}, {}},
               {"sl-constant", Measure::best, {}, {}},
               {"central", Measure::best, {}, {}}},
      .tables = {},
      .quick = {.width = 16,
                .limit_train = 6000,
                .limit_test = 2000,
                .epochs = 15,
                .iotsl_epochs = 15,
                .calibrated_epochs = 120,
                // Well below where few images end up: close to it a threshold measures chance.
                .threshold_mnist = 90,
                .threshold_fashion = 75,
                .gan_preset = "tiny",
                .gan_iterations = 400},
      .paper = {.model = paper_network,
                .width = 64,
                .epochs = 100,
                .iotsl_epochs = 40,
                .calibrated_epochs = 120,
                .threshold_mnist = 99,
                .threshold_fashion = 91},
  };
}

/// The same as fig9 on Fashion-MNIST.
ExperimentSpec fig10() {
  ExperimentSpec spec = fig9();
  spec.name = "fig10";
  spec.dataset = "fashion-mnist";
  return spec;
}

/// Both halves of Fig. 13, without the privacy module.
ExperimentSpec fig13() {
  return {
      .name = "fig13",
      .figure_mnist = "Fig. 13",
      .figure_fashion = "Fig. 13",
      .title = "how good is pre-training on generated images alone?",
      .about =
          "The network is trained on generated images only and tested on real ones (device epoch "
          "0), then fine-tuned by split learning. Generators without privacy, unless --epsilon or "
          "--privacy is given; with its privacy module "
          "the paper reaches 94.74 % (MNIST) and 78.48 % (Fashion-MNIST) before fine-tuning, and "
          "nearly the same after it.",
      .curves = {{"iotsl", "IoTSL", "Test accuracy", Method::iotsl, "iid", true, false}},
      .rows = {{"iotsl", Measure::pretrained, {98.23}, {87.78}},
               {"iotsl", Measure::best, {99.48}, {91.96}}},
      .tables = {},
      .quick = {.width = 16,
                .limit_train = 6000,
                .limit_test = 2000,
                .iotsl_epochs = 10,
                .gan_preset = "tiny",
                .gan_iterations = 400},
      .paper = {.model = paper_network, .width = 64, .iotsl_epochs = 40},
  };
}

}  // namespace iotsl::tool
