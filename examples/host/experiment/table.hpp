#pragma once
// The paper's figures as data: what each compares, which of its numbers stand beside ours, and the
// sizes of a quick and of a full repetition.

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "iotsl/core/shape.hpp"
#include "iotsl/options/method.hpp"
#include "iotsl/options/wire_coding.hpp"

namespace iotsl::tool {

/// One line of a figure: a method on a partition. All in which its runs differ from the others of
/// the experiment is here; options_of() makes a run of it.
struct CurveSpec {
  std::string_view key;    ///< names its runs: letters, digits, dashes
  std::string_view label;  ///< in legends and tables
  std::string_view panel;  ///< title of the chart that it is drawn in
  Method method;
  std::string_view partition;
  bool pretrain = false, impute = false;  ///< of method iotsl
  bool constant_rate = false;             ///< whatever the schedule of the others
  /// Key of a curve before this one whose generators it uses; empty: its devices train their own.
  std::string_view generators_of = "";
  /// As --generator; empty: what the command was given, for all curves alike.
  std::string_view generator = "";
  double epsilon = 0;           ///< of that generator; 0: without noise
  bool generator_only = false;  ///< nothing but generators leaves a device
  bool replays = false;         ///< the server keeps smashed samples: ExperimentSizes::replay
  WireCoding wire = WireCoding::fp32;
  /// Its turns with the optimiser of calibration.hpp, over ExperimentSizes::calibrated_epochs;
  /// pre-training with that of the other curves.
  bool calibrated = false;
};

/// What a row of the table "paper | ours" compares.
enum class Measure {
  best,           ///< test accuracy at the chosen point, %
  late_best,      ///< the same, chosen in the second half of the device epochs
  late_mean,      ///< mean test accuracy of the second half, %
  pretrained,     ///< test accuracy after pre-training alone, %
  epochs_until,   ///< device epochs until the threshold
  values_until,   ///< values sent by the formula of Table I until the threshold
  seconds_until,  ///< seconds of training until the threshold
  joules_until,   ///< joules of all devices in their turns until the threshold
  /// The same three with generators, pre-training and imputation.
  full_values_until,
  full_seconds_until,
  full_joules_until,
  watts,         ///< mean power of a device in its turns
  epoch_joules,  ///< joules of a device for one of its epochs
  final,         ///< test accuracy of the last evaluation, %
  late_spread,   ///< standard deviation (n - 1) of the last 20 test accuracies, points of %
  late_range,    ///< highest less lowest of these, points of %
};

/// A number of the paper, in the unit of its measure; nothing: the paper gives none.
struct PaperNumber {
  std::optional<double> value = {};
  std::string_view about = "";  ///< in front of it, such as "below"
};

struct RowSpec {
  std::string_view curve;  ///< key
  Measure measure;
  PaperNumber mnist, fashion;
  /// Key of the curve that it is compared with: the number is the change against it, in %.
  std::string_view against = "";
};

/// How large a repetition is. Limits of 0: everything.
struct ExperimentSizes {
  std::string_view model = "vgg16bn-compact";
  Index width = 0;
  Index limit_train = 0, limit_test = 0;
  Index epochs = 0, iotsl_epochs = 0;  ///< device epochs of SL and of IoTSL
  Index schedule_epochs = 0;           ///< over which every rate falls; 0: the longer of the two
  Index calibrated_epochs = 0;         ///< device epochs of the curves with that optimiser
  double threshold_mnist = 0, threshold_fashion = 0;  ///< test accuracy, %; 0: none
  std::string_view generator = "";                    ///< as --generator; empty: its default
  std::string_view gan_preset = "paper";
  std::string_view gan = "";                ///< as --gan; empty: the preset's
  Index gan_width = 0, gan_iterations = 0;  ///< 0: the preset's
  Index pretrain_iterations = 5000;         ///< at most
  Index replay = 0;                         ///< as --replay, of the curves that replay
  Index batch = 0;                          ///< samples of a step; 0: the default
  Index image_side = 0, per_class = 0;      ///< of faces and CelebA, as the options
};

/// Samples per device and class of a partition that has no name of its own.
struct NamedTable {
  std::string_view name;  ///< in CurveSpec::partition
  std::string_view text;  ///< as --partition table:FILE reads it
  Index of = 0;           ///< training images of a class for which the numbers are; 0: for any
};

struct ExperimentSpec {
  std::string_view name;                          ///< on the command line
  std::string_view figure_mnist, figure_fashion;  ///< of the paper, by data set
  std::string_view title;                         ///< what it shows, without the data set
  std::string_view about;              ///< what the figure shows, and what of it is repeated here
  std::string_view dataset = "mnist";  ///< where no other is asked for
  Index devices = 5;
  Index classes = 10;
  Index test_per_class = 0;  ///< as the option; 0: the whole test set
  std::vector<CurveSpec> curves;
  std::vector<RowSpec> rows;
  std::vector<NamedTable> tables;
  std::string_view transport = "inproc";  ///< where no other is asked for
  bool judges_energy = false;             ///< accuracy is not what it is about
  bool epochs_only = false;               ///< one chart for each panel: there are many
  bool compares_methods = false;          ///< a table of methods takes the place of the paper's
  ExperimentSizes quick, paper;
};

/// Sets that the experiment can be repeated on: the built-in one and those that are like it.
std::span<const std::string_view> datasets_of(const ExperimentSpec& spec);

/// The network that devices are taken to have, where no other is asked for.
inline constexpr std::string_view default_link = "100mbit,1ms";

/// Every experiment there is.
std::span<const ExperimentSpec> all_experiments();

/// The experiment of that name; null where there is none.
const ExperimentSpec* find_experiment(std::string_view name);

}  // namespace iotsl::tool
