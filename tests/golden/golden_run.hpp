#pragma once
// Runs one golden file and says what differs.

#include "golden/golden_gan.hpp"
#include "golden/golden_ops.hpp"
#include "golden/golden_train.hpp"

namespace golden {

/// Output, first and second gradients of one operation.
template <class T>
class OpRun {
 public:
  OpRun(Case& file, Op<T> op, Names& problems) : file_(file), problems_(problems), call_(file) {
    const Tensor<T> y = op(call_);
    check_output(y);
    if (wants_first() || wants_second()) differentiate(y);
  }

 private:
  using Tensors = std::vector<Tensor<T>>;

  void check_output(const Tensor<T>& y) {
    const std::string name = file_.first_of({"output.0", "output.y", "output"});
    if (name.empty()) fail("tensor 'output.0' is missing");
    compare(file_, name, y, problems_);
    for (const auto& output : call_.further_outputs)
      if (file_.has("output." + output.name))
        compare(file_, "output." + output.name, output.tensor, problems_);
  }

  bool wants_first() const { return !file_.names_with("grad.").empty(); }
  bool wants_second() const { return !file_.names_with("direction.").empty(); }
  std::string name_of(const std::string& prefix, const typename Call<T>::Input& input) const {
    return file_.first_of(Call<T>::prefixed(prefix, input.names));
  }

  Tensor<T> cotangent(const Tensor<T>& y) {
    const std::string name = file_.first_of({"cotangent.0", "cotangent.y", "cotangent"});
    if (name.empty()) return Tensor<T>::full(y.shape(), T(1));
    return file_.tensor<T>(name);
  }

  void differentiate(const Tensor<T>& y) {
    Tensors inputs;
    for (const auto& input : call_.inputs) inputs.push_back(input.tensor);
    Tensor<T> seed = cotangent(y);
    seed.set_requires_grad(wants_second());
    const Tensors grads = grad<T>({y}, inputs, {seed}, {.create_graph = wants_second()});
    for (std::size_t i = 0; i < grads.size(); ++i) check("grad.", call_.inputs[i], grads[i]);
    if (wants_second()) second(grads, inputs, seed);
  }

  /// Gradient of sum_i <grads[i], direction_i> with respect to every input and the cotangent.
  void second(const Tensors& grads, Tensors inputs, const Tensor<T>& seed) {
    Tensors outputs, directions;
    for (std::size_t i = 0; i < grads.size(); ++i) {
      const std::string name = name_of("direction.", call_.inputs[i]);
      if (name.empty()) continue;
      Tensor<T> direction = file_.tensor<T>(name);
      if (!(direction.shape() == grads[i].shape()))
        fail("tensor '", name, "' has shape ", direction.shape(), ", expected ", grads[i].shape());
      // A gradient that depends on nothing has no derivative.
      if (!grads[i].requires_grad()) continue;
      outputs.push_back(grads[i]);
      directions.push_back(direction);
    }
    inputs.push_back(seed);
    Tensors seconds;
    if (outputs.empty()) {
      for (const Tensor<T>& input : inputs) seconds.push_back(Tensor<T>::zeros(input.shape()));
    } else {
      seconds = grad<T>(outputs, inputs, directions);
    }
    for (std::size_t i = 0; i < call_.inputs.size(); ++i)
      check("grad2.", call_.inputs[i], seconds[i]);
    const std::string name = file_.first_of({"grad2.cotangent", "grad2.cotangent.0"});
    if (!name.empty()) compare(file_, name, seconds.back(), problems_);
  }

  void check(const std::string& prefix, const typename Call<T>::Input& input,
             const Tensor<T>& actual) {
    const std::string name = name_of(prefix, input);
    if (!name.empty()) compare(file_, name, actual, problems_);
  }

  Case& file_;
  Names& problems_;
  Call<T> call_;
};

template <class T>
void run_as(Case& file, Names& problems) {
  const std::string op = canonical_op(file.op());
  if (op == "sgd" || op == "adam") {
    run_optimizer<T>(file, op, problems);
  } else if (op == "lr_schedule") {
    run_schedule<T>(file, problems);
  } else if (op == "train") {
    TrainRun<T>(file, problems);
  } else if (op == "wgan_gp") {
    GanRun<T>(file, problems);
  } else if (const auto found = ops<T>().find(op); found != ops<T>().end()) {
    OpRun<T>(file, found->second, problems);
  } else {
    fail("unknown op '", file.op(), "'");
  }
  file.check_all_used();
}

/// Runs a file in float, and in double where it holds values in double. Returns the problems, each
/// with the file's path; none if it passes.
inline Names run_file(const std::string& path) {
  Names problems;
  const auto attempt = [&](const char* where, const auto& run) {
    Names found;
    try {
      run(found);
    } catch (const std::exception& error) {
      found.push_back(error.what());
    }
    for (const std::string& problem : found) problems.push_back(concat(path, where, problem));
  };
  bool in_double = true;
  attempt(": ", [&](Names&) { in_double = Case(path).is_double(); });
  if (!problems.empty()) return problems;
  if (in_double) {
    attempt(" in double: ", [&](Names& found) {
      Case file(path);
      run_as<double>(file, found);
    });
  }
  attempt(" in float: ", [&](Names& found) {
    Case file(path);
    run_as<float>(file, found);
  });
  return problems;
}

}  // namespace golden
