// What decides a run's result is looked at before the run, and again before it goes on.

#include <doctest/doctest.h>

#include <thread>

#include "e2e/background.hpp"
#include "iotsl/core/files/file.hpp"
#include "iotsl/data/packed.hpp"
#include "iotsl/models/model.hpp"
#include "iotsl/nn/state.hpp"

using namespace iotsl;
using namespace iotsl::test;

namespace run_inputs_test {

namespace {

const std::string plain = "--batch 8 --threads 1 --quiet ", narrow = plain + "--width 4 ",
                  small = narrow + "--devices 2 ",
                  planned = "--batch 8 --threads 1 --width 4 --devices 2 ";

ProgramResult succeed(const std::string& arguments) {
  ProgramResult result = run_program(arguments);
  REQUIRE_MESSAGE(result.exit_code == 0, arguments << "\n" << result.err);
  return result;
}
void refuse(const std::string& arguments, int code, const std::string& what) {
  const ProgramResult result = run_program(arguments);
  CHECK_MESSAGE(result.exit_code == code, arguments << "\n" << result.err);
  CHECK_MESSAGE(result.err.find(what) != std::string::npos, result.err);
}

/// `count` images of a bar whose place says the class; another `seed` has other pixels.
data::Dataset bars(Index count, Index side, std::vector<std::string> names, std::uint64_t seed) {
  data::Dataset out;
  out.name = "images";
  out.height = out.width = side;
  out.classes = static_cast<Index>(names.size());
  out.class_names = std::move(names);
  const Random random(seed, Stream::user);
  for (Index i = 0; i < count; ++i) {
    out.labels.push_back(static_cast<data::Label>(i % out.classes));
    for (Index p = 0; p < side * side; ++p) {
      const bool bar = (p / side) * out.classes / side == i % out.classes;
      const auto noise = random.below(static_cast<std::uint64_t>(i * side * side + p), 50);
      out.pixels.push_back(static_cast<std::uint8_t>((bar ? 200 : 0) + noise));
    }
  }
  out.full_size = count;
  out.sha256 = data::idx_sha256(out);
  return out;
}

/// The four files of MNIST with images of other sizes.
void write_mnist(const std::string& folder, Index train_side, Index test_side) {
  REQUIRE(create_folders(folder).ok());
  const std::vector<std::string> digits{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
  for (const bool train : {true, false}) {
    const data::Dataset set = bars(40, train ? train_side : test_side, digits, train ? 1 : 2);
    auto images = data::detail::idx_image_header(set.size(), 1, set.height, set.width);
    images.insert(images.end(), set.pixels.begin(), set.pixels.end());
    auto labels = data::detail::idx_header(data::detail::idx_label_type(10), {set.size()});
    const auto values = data::detail::idx_labels(set.labels, 10);
    labels.insert(labels.end(), values.begin(), values.end());
    const std::string prefix = join_path(folder, train ? "train" : "t10k");
    REQUIRE(write_file_atomic(prefix + "-images-idx3-ubyte", ByteSpan(images)).ok());
    REQUIRE(write_file_atomic(prefix + "-labels-idx1-ubyte", ByteSpan(labels)).ok());
  }
}

void write_pack(const std::string& folder, const std::vector<std::string>& names,
                std::uint64_t seed = 1) {
  REQUIRE(data::save_packed(folder, bars(40, 28, names, seed), bars(20, 28, names, seed + 1)).ok());
}

}  // namespace

TEST_CASE("training and test images of two shapes are refused on every path") {
  const TemporaryFolder folder;
  for (const Index side : {20, 32}) {
    const std::string data = folder / concat("side", side);
    write_mnist(data, 28, side);
    const std::string set = "--dataset mnist --data " + data + " ",
                      said = concat("t10k-images-idx3-ubyte: test images of 1x", side, "x", side,
                                    ", training images have 1x28x28");
    for (const char* method : {"sl", "central", "fedavg", "iotsl", "local"})
      refuse(concat("simulate --method ", method, " --out ", folder / "run ", set, small), 4, said);
    refuse("plan " + set + planned, 4, said);
    refuse("server --listen 127.0.0.1:0 --out " + (folder / "run ") + set + small, 4, said);
    refuse("data pack " + set + "--out " + (folder / "pack"), 4, said);
  }
  CHECK_FALSE(folder_exists(folder / "run"));
  CHECK_FALSE(folder_exists(folder / "pack"));
}

TEST_CASE("a device with too few samples is named with the partition") {
  const TemporaryFolder folder;
  const std::string table = folder / "table.txt";
  REQUIRE(write_file_atomic(table, "5,0,0,0,0,0,0,0,0,0\n0,1,0,0,0,0,0,0,0,0\n").ok());
  const std::string part = "--dataset glyphs --partition table:" + table + " ",
                    said = "table:" + table + ": device 1 gets 1 sample, at least 2 are needed";
  for (const char* method : {"sl", "local", "iotsl", "fedavg"})
    refuse(concat("simulate --method ", method, " --out ", folder / "run ", part, small), 2, said);
  refuse("server --listen 127.0.0.1:0 --out " + (folder / "run ") + part + small, 2, said);
  refuse("plan " + part + planned, 2, said);
  refuse("data partition --devices 2 --out " + (folder / "run ") + part, 2, said);
  CHECK_FALSE(file_exists(folder / "run"));
  CHECK_FALSE(folder_exists(folder / "run"));
}

TEST_CASE("an optimiser of pre-training's own: in config.json, refused where it means nothing") {
  const TemporaryFolder folder;
  const std::string data = "--dataset glyphs --limit-train 40 --limit-test 20 --epochs 2 ",
                    any = "simulate --transport none --json --optimizer sgd --lr 0.02 " + small +
                          data,
                    method = "--method iotsl --generator moments --pretrain-iterations 3 ",
                    given = "--generators " + (folder / "turns/generators "),
                    own = "--pretrain-optimizer adam --pretrain-lr 0.002 ";
  const auto weights = [](const ProgramResult& result) {
    return parse_json(result.out)->find("weights_sha256")->as_string();
  };
  const std::string as_turns = weights(succeed(any + method + "--out " + (folder / "turns"))),
                    mixed = weights(
                        succeed(any + method + given + own + "--out " + (folder / "mixed")));
  CHECK(mixed != as_turns);
  // The file says it, and one of an earlier program, which does not, means that of the turns.
  const auto again = [&](const std::string& name, const std::string& options) {
    return weights(succeed("simulate --transport none --json --quiet --config " +
                           (folder / name + "/config.json ") + options));
  };
  CHECK(again("mixed", "--out " + (folder / "again")) == mixed);
  const std::string text = read_text_file(folder / "turns/config.json").value();
  CHECK(text.find("pretrain-optimizer") == text.npos);
  CHECK(text.find("pretrain-lr") == text.npos);
  CHECK(text.find("pretrain-momentum") == text.npos);
  CHECK(again("turns", given + own + "--out " + (folder / "added")) == mixed);

  refuse("simulate --pretrain-lr 0.1 --resume " + (folder / "mixed"), 2,
         "--pretrain-lr 0.1: cannot be changed in the run");
  const std::string none = "--out " + (folder / "none"), off = "--method iotsl --pretrain off ";
  refuse(any + own + none, 2, "--pretrain-optimizer adam: only for --method iotsl and cache");
  refuse(any + method + own + "--pretrain-momentum 0.9 " + none, 2,
         "--pretrain-momentum 0.9: only for --pretrain-optimizer sgd");
  refuse(any + off + "--pretrain-lr 0.1 " + none, 2,
         "--pretrain-lr 0.1: does nothing with --pretrain off");
  refuse(any + method + "--pretrain-optimizer lbfgs " + none, 2, "lbfgs not in {adam,sgd}");
  refuse(any + method + "--pretrain-lr 0 " + none, 2, "0, expected above 0");
  refuse(any + method + "--pretrain-momentum 1 " + none, 2, "1, expected 0 to 0.9999");
  CHECK_FALSE(folder_exists(folder / "none"));
  const ProgramResult plan = succeed("plan " + planned + data + method + given + own);
  CHECK_MESSAGE(plan.out.find("pre-training: adam 0.002 at a constant rate") != std::string::npos,
                plan.out);
}

TEST_CASE("generators of other classes are refused by name, with every transport") {
  const TemporaryFolder folder;
  write_pack(folder / "pets", {"cat", "dog"});
  write_pack(folder / "flowers", {"rose", "tulip"});
  const std::string method =
      "simulate --method iotsl --generator moments --pretrain-iterations 3 " + small +
      "--dataset packed --data ";
  succeed(method + (folder / "pets") + " --transport none --out " + (folder / "made"));
  const std::string use = method + (folder / "flowers") + " --generators " +
                          (folder / "made/generators") + " --out " + (folder / "run") + " ";
  for (const char* transport : {"tcp", "inproc", "none"}) {
    refuse(use + "--transport " + transport, 2, "whose class 0 is 'cat'; in this run it is 'rose'");
    CHECK_FALSE(folder_exists(folder / "run"));
  }
  refuse("server --listen 127.0.0.1:0 " + use.substr(use.find("--method")), 2, "'cat'");
  succeed(use + "--transport none --foreign-generators");
  // Of the same set, but trained on other samples: a note, with every transport.
  for (const char* transport : {"tcp", "inproc", "none"}) {
    const ProgramResult other = succeed(
        "simulate --method iotsl --generator moments --pretrain-iterations 3 --width 4 --devices 2 "
        "--batch 8 --threads 1 --limit-train 30 --dataset packed --data " +
        (folder / "pets") + " --generators " + (folder / "made/generators") + " --transport " +
        transport + " --overwrite --out " + (folder / "run"));
    CHECK_MESSAGE(other.err.find("was trained on other samples") != std::string::npos, other.err);
  }
}

TEST_CASE("a run goes on only with the data and options that it began with") {
  const TemporaryFolder folder;
  const std::string run = folder / "run", data = folder / "set";
  write_pack(data, {"a", "b"});
  succeed("simulate --dataset packed --transport none --data " + data + " --out " + run + " " +
          small);
  for (const char* name : {"/summary.json", "/model.safetensors"})
    REQUIRE(std::remove((run + name).c_str()) == 0);
  const std::string resume = "simulate --quiet --resume " + run;

  const auto train = bars(40, 28, {"a", "b"}, 1), test = bars(20, 28, {"a", "b"}, 2);
  REQUIRE(data::save_packed(data, train, bars(20, 28, {"a", "b"}, 9)).ok());
  refuse(resume, 4, "the test images");
  REQUIRE(data::save_packed(data, bars(40, 28, {"a", "b"}, 9), test).ok());
  refuse(resume, 4, "the training images");
  REQUIRE(data::save_packed(data, train, test).ok());

  const std::string config = *read_text_file(run + "/config.json");
  std::string other = config;
  other.replace(other.find("\"batch\": 8"), 10, "\"batch\": 9");
  REQUIRE(write_file_atomic(run + "/config.json", other).ok());
  refuse(resume, 4, "config.json: batch has changed from 8 to 9");
  REQUIRE(write_file_atomic(run + "/config.json", config).ok());
  succeed(resume);
}

TEST_CASE("rounds are added to a complete run, at a rate of their own") {
  const TemporaryFolder folder;
  const std::string run = folder / "run", whole = folder / "whole",
                    options = "--dataset glyphs --limit-train 60 --limit-test 20 --json " + small;
  for (const char* transport : {"none", "tcp", "inproc"}) {
    const std::string over = concat(options, "--overwrite --transport ", transport, " ");
    succeed("simulate --rounds 2 --out " + run + " " + over);
    refuse("simulate --rounds 4 --resume " + run, 2, "--lr");
    refuse("simulate --lr 0.1 --resume " + run, 2, "--lr 0.1: cannot be changed");
    refuse("simulate --rounds 2 --lr 0.1 --resume " + run, 2, "the run has 2 already");
    const ProgramResult more =
        succeed("simulate --rounds 4 --lr 0.0001 --quiet --json --resume " + run);
    // The same in one go.
    const ProgramResult at_once =
        succeed("simulate --rounds 2 --added-epochs 4@0.0001 --out " + whole + " " + over);
    CHECK(sha256_in(more.out) == sha256_in(at_once.out));
    CHECK(history_of(run) == history_of(whole));
    const Json summary = *parse_json(more.out);
    CHECK(summary.find("added_epochs")->as_string() == "4@1e-04");
    const JsonArray& epochs = summary.find("epochs")->as_array();
    REQUIRE(epochs.size() == 8);
    CHECK(epochs[3].find("learning_rate")->as_double() < 1e-3);
    for (std::size_t i = 4; i < 8; ++i)
      CHECK(epochs[i].find("learning_rate")->as_double() == 0.0001);
  }
  // Once more, by another rate; then there is nothing left to do.
  succeed("simulate --rounds 5 --lr 0.0002 --quiet --resume " + run);
  CHECK(read_text_file(run + "/config.json")->find("\"4@1e-04,2@2e-04\"") != std::string::npos);
  CHECK(succeed("simulate --resume " + run).out.find("nothing is left to do") != std::string::npos);
}

TEST_CASE("a run begins with given weights, which must be weights") {
  const TemporaryFolder folder;
  const std::string run = folder / "run", options = "--dataset glyphs --limit-train 40 " + small;
  succeed("simulate --limit-test 20 --seed 3 --transport none --out " + run + " " + options);
  // A frozen front shows what a run began with.
  for (const char* transport : {"none", "tcp"}) {
    const std::string tuned = folder / concat("tuned-", transport);
    succeed(concat("simulate --limit-test 20 --frozen-front on --init ", run, " --transport ",
                   transport, " --out ", tuned, " ", options));
    const auto before = load_safetensors(run + "/model.safetensors"),
               after = load_safetensors(tuned + "/model.safetensors");
    REQUIRE((before.ok() && after.ok()));
    const auto bytes = [](const SafeTensors& file, const char* name) {
      const ByteSpan all = file.find(name)->bytes;
      return std::vector<std::uint8_t>(all.begin(), all.end());
    };
    CHECK(bytes(*before, "features.0.weight") == bytes(*after, "features.0.weight"));
    CHECK(bytes(*before, "classifier.weight") != bytes(*after, "classifier.weight"));
  }
  refuse("simulate --init " + run + " --out " + (folder / "x ") +
             "--dataset glyphs --limit-train 40 --devices 2 --width 8 " + plain,
         4, "features.0.weight");

  ModelSpec spec;
  spec.name = "vgg16bn-compact";
  spec.width = 4;
  const std::string bad = folder / "bad.safetensors";
  for (const bool variance : {true, false}) {
    Sequential<float> net = build_model<float>(spec);
    net.initialize(1);
    auto tensor = variance ? net.buffers()[1].tensor : net.parameters()[0].tensor;
    tensor.mutable_data()[0] = variance ? -1.0f : std::numeric_limits<float>::quiet_NaN();
    REQUIRE(save_safetensors(bad, state_views(net)).ok());
    const std::string said =
        variance ? "'features.1.running_var' has -1" : "'features.0.weight' has NaN";
    refuse("simulate --init " + bad + " --out " + (folder / "x ") + options, 4, said);
    refuse("predict " + bad + " --model vgg16bn-compact --width 4 --dataset glyphs", 4, said);
  }
  CHECK_FALSE(folder_exists(folder / "x"));
}

TEST_CASE("weights of other programs begin a run as they predict") {
  const TemporaryFolder folder;
  ModelSpec spec;
  spec.name = "vgg16bn-compact";
  spec.width = 4;
  Sequential<float> net = build_model<float>(spec);
  net.initialize(5);
  const std::string own = folder / "own.st", wrapped = folder / "wrapped.st";
  std::vector<SafeTensor> tensors = state_views(net);
  REQUIRE(save_safetensors(own, tensors).ok());
  // Of DataParallel, without counters, a bias as BF16.
  std::erase_if(tensors, [](const SafeTensor& t) { return t.name.ends_with("tracked"); });
  const std::vector<std::uint8_t> zeros(20);  // as initial biases are
  for (SafeTensor& tensor : tensors) {
    if (tensor.name == "classifier.bias") tensor.dtype = DType::bf16, tensor.bytes = zeros;
    tensor.name = "module." + tensor.name;
  }
  REQUIRE(save_safetensors(wrapped, tensors).ok());
  const std::string options = "simulate --dataset glyphs --limit-train 40 --limit-test 20 --json " +
                              small + "--transport none --init ";
  const ProgramResult plainly = succeed(options + own + " --out " + (folder / "a")),
                      again = succeed(options + wrapped + " --out " + (folder / "b"));
  CHECK(sha256_in(plainly.out) == sha256_in(again.out));
  REQUIRE(write_file_atomic(own, std::string_view("<!DOCTYPE html>")).ok());
  refuse(options + own + " --out " + (folder / "c"), 4, "own.st: is a web page");

  net.parameters()[0].tensor.mutable_data()[0] = 3e38f;
  REQUIRE(save_safetensors(own, state_views(net)).ok());
  refuse("predict " + own + " --model vgg16bn-compact --width 4 --dataset glyphs --limit-test 9", 4,
         "the weights are too large");
}

TEST_CASE("what a run has left is compared with itself when it is read") {
  const TemporaryFolder folder;
  const std::string run = folder / "run", weights = run + "/model.safetensors",
                    options = "--dataset glyphs --limit-train 40 --limit-test 20 " + small;
  succeed("simulate --transport none --out " + run + " " + options);
  const std::vector<std::uint8_t> whole = *read_file(weights);
  std::vector<std::uint8_t> damaged = whole;
  damaged[damaged.size() / 2] ^= 1;
  REQUIRE(write_file_atomic(weights, ByteSpan(damaged)).ok());
  for (const std::string& command :
       {"predict " + run + " --dataset glyphs",
        "model export --run " + run + " --out " + (folder / "w"),
        "simulate --init " + run + " --out " + (folder / "x ") + options})
    refuse(command, 4, "model.safetensors: sha256 of the weights is");
  REQUIRE(write_file_atomic(weights, ByteSpan(whole)).ok());

  const std::string predict = "predict " + run + " --dataset glyphs ";
  succeed(predict);
  refuse(predict + "--overwrite", 2, "--overwrite");
  // A network of a later version.
  const std::string card = run + "/model.json", described = *read_text_file(card);
  std::string text = described;
  text.replace(text.find("vgg16bn-compact"), 15, "vgg99");
  REQUIRE(write_file_atomic(card, std::string_view(text)).ok());
  refuse(predict, 4, card + ": unknown model 'vgg99'; expected one of vgg16bn-compact");
  REQUIRE(write_file_atomic(card, std::string_view(described)).ok());
  refuse("predict " + run + " a.png --limit-test 3", 2, "--limit-test 3: only for --dataset");
  for (const char* name : {"summary.json", "config.json"}) {
    const std::string path = join_path(run, name);
    REQUIRE(write_file_atomic(path, std::string_view("{")).ok());
    refuse("simulate --resume " + run, 4, concat(path, ": json: byte"));
  }
  refuse("predict " + run + " --dataset glyphs", 4, "config.json: json: byte");
  CHECK_FALSE(folder_exists(folder / "x"));
  CHECK_FALSE(file_exists(folder / "w"));
}

TEST_CASE("a set whose files name no class trains on devices, too") {
  const TemporaryFolder folder;
  write_mnist(folder / "set", 28, 28);
  const std::string set = "--dataset idx --classes 10 --data " + (folder / "set ");
  succeed("simulate --rounds 1 --out " + (folder / "run ") + set + small);
  succeed("predict " + (folder / "run ") + set);
}

TEST_CASE("what cannot be recorded, or does nothing, is refused") {
  const TemporaryFolder folder;
  const std::string out = "simulate --out " + (folder / "run ") + small;
  REQUIRE(create_folders(folder / "caf\xE9").ok());
  refuse(out + "--dataset images --data " + (folder / "caf\xE9"), 2, "caf\\xe9: is not UTF-8");
  for (const char* alone : {"--transport none", "--transport inproc", "--method central"})
    refuse(concat(out, "--dataset glyphs --offline-limit 9 ", alone), 2, "--offline-limit");
  CHECK_FALSE(folder_exists(folder / "run"));
}

TEST_CASE("a server that is told a partition draws it, and its devices have to keep to it") {
  const TemporaryFolder folder;
  const std::string run = folder / "run", bin = std::string(IOTSL_PROGRAMS_DIR) + "/",
                    port = "127.0.0.1:17435";
  Child server(words(bin + "iotsl server --listen " + port + " --dataset glyphs --limit-test 20 " +
                     "--partition classes:5 --limit-train 60 --out " + run + " " + small),
               folder / "server.log");
  const std::string device = "run --server " + port + " --dataset glyphs --threads 1 --name ";
  const ProgramResult all = run_program(device + "a", "iotsl-device");
  CHECK(all.exit_code == 2);
  CHECK_MESSAGE(all.err.find("than the manifest's device 0") != std::string::npos, all.err);
  const std::string manifest = " --manifest " + run + "/manifest.json --index ";
  Child a(words(bin + "iotsl-device " + device + "a" + manifest + "0"), folder / "a.log");
  const ProgramResult b = run_program(device + "b" + manifest + "1", "iotsl-device");
  CHECK_MESSAGE(b.exit_code == 0, b.err);
  for (int i = 0; i < 3000 && server.state() == Child::State::running; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  CHECK(server.exit_code() == 0);
  const std::string metrics = *read_text_file(run + "/metrics.jsonl");
  CHECK(metrics.find("\"samples\":12000") == std::string::npos);
  CHECK(read_text_file(run + "/config.json")->find("\"classes:5\"") != std::string::npos);
}

TEST_CASE("a device that is stopped says so, and that it can go on") {
  const TemporaryFolder folder;
  const std::string bin = std::string(IOTSL_PROGRAMS_DIR) + "/", port = "127.0.0.1:17436";
  Child server(words(bin + "iotsl server --listen " + port + " --dataset glyphs --limit-test 20 " +
                     "--rounds 500 --out " + (folder / "run ") + narrow + "--devices 1"),
               folder / "server.log");
  for (const int signal : {SIGTERM, SIGHUP}) {
    const std::string log = folder / concat("device-", signal, ".log");
    Child device(
        words(bin + "iotsl-device run --server " + port + " --dataset glyphs --threads 1 --name a"),
        log);
    for (int i = 0; i < 3000 && read_text_file(log)->find("my turn") == std::string::npos; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    device.kill(signal);
    for (int i = 0; i < 3000 && device.state() == Child::State::running; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    CHECK(device.exit_code() == 5);
    CHECK(read_text_file(log)->find("stopped after step") != std::string::npos);
    CHECK(read_text_file(log)->find("done") == std::string::npos);
  }
  server.kill(SIGTERM);
  for (int i = 0; i < 3000 && server.state() == Child::State::running; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  CHECK(server.exit_code() == 5);
}

}  // namespace run_inputs_test
