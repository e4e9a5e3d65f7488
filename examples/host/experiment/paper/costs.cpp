// Power, time and values: Fig. 3 and 11.

#include "host/experiment/paper/specs.hpp"

namespace iotsl::tool {

/// The power of a device with its server, and alone with random gradients.
ExperimentSpec fig3() {
  return {
      .name = "fig3",
      .figure_mnist = "Fig. 3",
      .figure_fashion = "Fig. 3",
      .title = "what communication costs a device in energy",
      .about =
          "One device trains the first two convolutions of VGG-16. With SL it sends smashed data and "
          "waits for the server's gradient; alone (method local) it takes random numbers in place of "
          "that gradient, computes the same and sends nothing. The paper has measured a Raspberry Pi "
          "4 at the plug and found 42.6 % more energy with communication. Here times are measured "
          "over the network that the settings name and joules calculated by a power model: how much "
          "is added depends on how long the device computes beside how long its messages travel.",
      .devices = 1,
      .curves = {{.key = "sl",
                  .label = "SL",
                  .panel = "Energy",
                  .method = Method::split_learning,
                  .partition = "iid"},
                 {.key = "local",
                  .label = "alone, random gradients",
                  .panel = "Energy",
                  .method = Method::random_gradient,
                  .partition = "iid"}},
      .rows = {{"sl", Measure::epoch_joules, {}, {}},
               {"local", Measure::epoch_joules, {}, {}},
               {"sl", Measure::epoch_joules, {42.6}, {42.6}, "local"},
               {"sl", Measure::watts, {}, {}},
               {"local", Measure::watts, {}, {}}},
      .tables = {},
      .transport = "tcp",
      .judges_energy = true,
      .quick = {.width = 64, .limit_train = 500, .limit_test = 100, .epochs = 2},
      .paper = {.model = paper_network, .width = 64, .epochs = 2},
  };
}

/// The three panels: time, values and energy until the accuracy of Fig. 9.
ExperimentSpec fig11() {
  ExperimentSpec spec = fig9();
  spec.name = "fig11";
  spec.figure_mnist = spec.figure_fashion = "Fig. 11";
  spec.title = "time, values and energy until the threshold";
  spec.about =
      "Fig. 9 (on Fashion-MNIST Fig. 10) once more, by what it costs until the accuracy exceeds the "
      "threshold: time, values sent, joules of all devices. The paper counts the turns of split "
      "learning alone; the full sums add the training of the generators, their upload, pre-training "
      "and imputation. The paper's joules are of five Raspberry Pi 4 at the plug, in their turns; "
      "divided by its hours they are 4.5 to 4.7 W, which stands beside our model's mean power.";
  const std::vector<CurveSpec> all = std::move(spec.curves);
  spec.curves = {all[0], all[1]};
  spec.rows = {{"iotsl", Measure::seconds_until, {1.96 * 3600}, {3.01 * 3600}},
               {"sl", Measure::seconds_until, {12.28 * 3600}, {10.12 * 3600}},
               {"iotsl", Measure::seconds_until, {-84.0}, {-70.3}, "sl"},
               {"iotsl", Measure::values_until, {4.52e9}, {6.93e9}},
               {"sl", Measure::values_until, {2.92e10}, {2.32e10}},
               {"iotsl", Measure::values_until, {-84.5}, {-70.1}, "sl"},
               {"iotsl", Measure::joules_until, {3.17e4}, {4.91e4}},
               {"sl", Measure::joules_until, {2.07e5}, {1.71e5}},
               {"iotsl", Measure::joules_until, {-84.7}, {-71.3}, "sl"},
               {"iotsl", Measure::watts, {4.49}, {4.53}},
               {"sl", Measure::watts, {4.68}, {4.69}},
               {"iotsl", Measure::full_seconds_until, {}, {}},
               {"iotsl", Measure::full_seconds_until, {}, {}, "sl"},
               {"iotsl", Measure::full_values_until, {}, {}},
               {"iotsl", Measure::full_values_until, {}, {}, "sl"},
               {"iotsl", Measure::full_joules_until, {}, {}},
               {"iotsl", Measure::full_joules_until, {}, {}, "sl"}};
  return spec;
}

}  // namespace iotsl::tool
