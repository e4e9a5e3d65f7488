// The front on a device over a real socket: what a program on a device needs to take part in a run.
// Here the server is a thread of the same program on loopback; elsewhere it is
// `iotsl server ... --listen 0.0.0.0:7400 --insecure` and its address. Needs Asio (libasio-dev):
// g++ -std=c++20 -Iinclude FILE

#include <cstdio>
#include <thread>

#include "iotsl/iotsl.hpp"
#include "iotsl/split/device/device_tcp.hpp"
#include "iotsl/split/server/server_tcp.hpp"

using namespace iotsl;

// The device: its samples stay here. The server says which layers the front has, sends their
// weights, and a gradient for every batch.
static bool device(std::uint16_t port, const data::Dataset& own) {
  const std::vector<Index> samples = data::count_up(own.size());
  split::DeviceOptions options;
  options.server = {"127.0.0.1", port};
  options.identity = split::describe_device("pi-01", own, samples);
  options.on_note = [](const std::string& text) { std::printf("pi-01: %s\n", text.c_str()); };
  const Result<split::DeviceSummary> done = split::run_device(options, own, samples);
  if (!done) {
    std::printf("pi-01: %s\n", done.failure().message.c_str());
    return false;
  }
  std::printf(
      "pi-01: %llu steps, %.1f KB up, %.1f KB down\n", static_cast<unsigned long long>(done->steps),
      static_cast<double>(done->bytes_up) / 1e3, static_cast<double>(done->bytes_down) / 1e3);
  return done->complete;
}

// The server's net; the device builds its part of it from a description.
static Sequential<float> whole_net(const ImageSpec& images) {
  Sequential<float> net;
  net.add("conv", Conv2d<float>(images.channels, 8, 5, {.stride_h = 2, .stride_w = 2}));
  net.add("relu", Relu<float>{});
  net.add("pool", MaxPool2d<float>{});
  net.add("flatten", Flatten<float>{});
  net.add("head", Linear<float>(8 * 6 * 6, images.classes));
  return net;
}

struct LocalDevice {
  data::Dataset own = data::make_glyphs(data::Split::train, 320);
  std::thread thread = {};
  bool complete = false;
};

int main() {
  split::RunConfig config;
  config.dataset = "glyphs";
  config.model.name = "small";
  config.make_net = &whole_net;
  config.cut = "pool";  // the front's last layer
  config.devices = 1;
  config.training.epochs = 8;
  config.training.batch = 20;
  config.training.optimizer.lr = 5e-3;

  LocalDevice local;
  split::RunHooks hooks;
  hooks.context = &local;
  hooks.on_listening = [](void* context, std::uint16_t port) {
    auto& started = *static_cast<LocalDevice*>(context);
    started.thread =
        std::thread([&started, port] { started.complete = device(port, started.own); });
  };
  const auto test = data::make_glyphs(data::Split::test, 100);
  const Result<split::RunSummary> run = split::run_server(config, hooks, {}, test);
  if (local.thread.joinable()) local.thread.join();
  if (!run) {
    std::printf("server: %s\n", run.failure().message.c_str());
    return 1;
  }
  for (const auto& epoch : run->epochs)
    std::printf("epoch %llu: test accuracy %.1f %%\n", static_cast<unsigned long long>(epoch.epoch),
                100 * epoch.test_accuracy);
  return local.complete && run->final_test_accuracy > 0.5 ? 0 : 1;
}
