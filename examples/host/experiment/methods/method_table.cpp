#include "host/experiment/methods/method_table.hpp"

namespace iotsl::tool {
namespace {

/// Epsilon of the private generators, at the --delta of the command: weak, but measurable
/// (privacy/README.md).
constexpr double private_epsilon = 10;

/// The keys of one partition's curves, whose names views must outlive.
struct Keys {
  std::string_view central, sl, replay, net, moments, noised, noised_only, int8, int4, cache,
      cache_int8, fedavg;
};

/// Every method on one partition. The moments of a partition are made once, and with noise once.
std::vector<CurveSpec> methods_on(std::string_view partition, std::string_view panel,
                                  const Keys& keys) {
  const CurveSpec sl{.key = keys.sl,
                     .label = "SL",
                     .panel = panel,
                     .method = Method::split_learning,
                     .partition = partition};
  CurveSpec central = sl, replay = sl, fedavg = sl, net = sl;
  central.key = keys.central;
  central.label = "one net, all data";
  central.method = Method::central;
  replay.key = keys.replay;
  replay.label = "SL, replay";
  replay.replays = true;
  fedavg.key = keys.fedavg;
  fedavg.label = "FedAvg";
  fedavg.method = Method::federated_averaging;

  net.key = keys.net;
  net.label = "IoTSL, net";
  net.method = Method::iotsl;
  net.pretrain = net.impute = true;
  net.generator = "net";
  CurveSpec moments = net;
  moments.key = keys.moments;
  moments.label = "IoTSL, moments";
  moments.generator = "moments";
  CurveSpec noised = moments;
  noised.key = keys.noised;
  noised.label = "IoTSL, private moments";
  noised.epsilon = private_epsilon;
  CurveSpec noised_only = noised;
  noised_only.key = keys.noised_only;
  noised_only.label = "private moments, no turns";
  noised_only.generator_only = true;
  noised_only.generators_of = keys.noised;

  CurveSpec int8 = moments;
  int8.key = keys.int8;
  int8.label = "IoTSL, moments, int8 wire";
  int8.generators_of = keys.moments;
  int8.wire = WireCoding::int8;
  CurveSpec int4 = int8;
  int4.key = keys.int4;
  int4.label = "IoTSL, moments, int4 wire";
  int4.wire = WireCoding::int4;
  CurveSpec cache = moments;
  cache.key = keys.cache;
  cache.label = "cache, moments, fp32";
  cache.method = Method::cached;
  cache.generators_of = keys.moments;
  CurveSpec cache_int8 = cache;
  cache_int8.key = keys.cache_int8;
  cache_int8.label = "cache, moments, int8";
  cache_int8.wire = WireCoding::int8;
  return {central,     sl,   replay, net,   moments,    noised,
          noised_only, int8, int4,   cache, cache_int8, fedavg};
}

}  // namespace

ExperimentSpec method_table() {
  ExperimentSpec spec{
      .name = "table",
      .figure_mnist = "Methods",
      .figure_fashion = "Methods",
      .title = "every method on the same data",
      .about =
          "Five devices with equal shares of all classes, and with two of the ten classes each. All "
          "methods have the same images, network, optimiser, rates and number of device epochs. "
          "IoTSL pre-trains on what the devices' generators make (a net that was trained against a "
          "critic; moments: sums over the images; the same with noise) and imputes missing classes; "
          "with the wire in 8 or 4 bits, and with a front that is frozen after pre-training so that "
          "each image is sent once (cache), it takes the moments of the row without noise. Without "
          "turns nothing but the private moments leaves a device.",
      .curves = {},
      .rows = {},
      .tables = {},
      .compares_methods = true,
      .quick = {.width = 16,
                .limit_train = 4000,
                .limit_test = 2000,
                .epochs = 20,
                .iotsl_epochs = 20,
                // Those of fig9's quick scale.
                .threshold_mnist = 90,
                .threshold_fashion = 75,
                .gan_preset = "tiny",
                .gan_iterations = 300,
                .pretrain_iterations = 600,
                .replay = 1000},
      .paper = {.model = "vgg16bn-paper",
                .width = 64,
                .epochs = 100,
                .iotsl_epochs = 100,
                .threshold_mnist = 99,
                .threshold_fashion = 91,
                .replay = 10000},
  };
  spec.curves = methods_on(
      "iid", "Equal shares of all classes (iid)",
      {"central-iid", "sl-iid", "replay-iid", "net-iid", "moments-iid", "private-iid",
       "private-only-iid", "int8-iid", "int4-iid", "cache-iid", "cache-int8-iid", "fedavg-iid"});
  const std::vector<CurveSpec> two =
      methods_on("classes:2", "Two of the ten classes on each device (classes:2)",
                 {"central-2", "sl-2", "replay-2", "net-2", "moments-2", "private-2",
                  "private-only-2", "int8-2", "int4-2", "cache-2", "cache-int8-2", "fedavg-2"});
  spec.curves.insert(spec.curves.end(), two.begin(), two.end());
  return spec;
}

}  // namespace iotsl::tool
